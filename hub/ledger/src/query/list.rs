//! Keyset lists: the one way in which all lists are read.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row, params_from_iter};

use crate::Error;
use crate::page::{Key, Page, PageRequest, page};

/// More entities than this are not asked one by one.
const ENTITIES_MAX: usize = 512;

/// A list to be read, newest first. All text in it is ours; what callers say goes through `?`.
pub(super) struct List {
    pub(super) columns: &'static str,
    pub(super) table: &'static str,
    /// The time that orders it.
    pub(super) at: &'static str,
    wheres: Vec<String>,
    values: Vec<SqlValue>,
}

impl List {
    pub(super) fn new(columns: &'static str, table: &'static str, at: &'static str) -> Self {
        Self { columns, table, at, wheres: Vec::new(), values: Vec::new() }
    }

    /// Adds a condition with one `?`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<SqlValue>) {
        self.wheres.push(condition.to_string());
        self.values.push(value.into());
    }

    /// Adds a condition if there is a value.
    pub(super) fn and_if(&mut self, condition: &str, value: Option<impl Into<SqlValue>>) {
        if let Some(value) = value {
            self.and(condition, value);
        }
    }

    /// Adds a condition with as many `?` as there are values.
    pub(super) fn and_all(&mut self, condition: String, values: impl IntoIterator<Item = SqlValue>) {
        self.wheres.push(condition);
        self.values.extend(values);
    }

    /// Reads one page. With `entities` each is read by its own index and the results are merged: no sort of many rows.
    pub(super) fn page<T>(
        &self,
        conn: &Connection,
        entities: Option<&[String]>,
        request: &PageRequest,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
        key: fn(&T) -> Key,
    ) -> Result<Page<T>, Error> {
        let (limit, behind) = (request.rows()?, request.behind()?);
        let rows = match entities {
            None => self.rows(conn, None, behind.as_ref(), limit + 1, read)?,
            Some(entities) if entities.len() > ENTITIES_MAX => {
                return Err(Error::BadFilter(format!("more than {ENTITIES_MAX} entities; ask for one of them")));
            }
            Some(entities) => self.merged(conn, entities, behind.as_ref(), limit + 1, read, key)?,
        };
        Ok(page(rows, limit, key))
    }

    fn merged<T>(
        &self,
        conn: &Connection,
        entities: &[String],
        behind: Option<&Key>,
        limit: usize,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
        key: fn(&T) -> Key,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for entity in entities {
            all.extend(self.rows(conn, Some(entity), behind, limit, read)?);
            all.sort_by_cached_key(|row| std::cmp::Reverse(key(row)));
            all.truncate(limit);
        }
        Ok(all)
    }

    fn rows<T>(
        &self,
        conn: &Connection,
        entity: Option<&str>,
        behind: Option<&Key>,
        limit: usize,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let (sql, values) = self.sql(entity, behind, limit);
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }

    /// The statement and its values.
    pub(super) fn sql(&self, entity: Option<&str>, behind: Option<&Key>, limit: usize) -> (String, Vec<SqlValue>) {
        let (mut wheres, mut values) = (self.wheres.clone(), self.values.clone());
        if let Some(entity) = entity {
            wheres.push("entity = ?".into());
            values.push(entity.to_string().into());
        }
        if let Some(key) = behind {
            wheres.push(format!("({}, id) < (?, ?)", self.at));
            values.extend([key.at.into(), key.id.clone().into()]);
        }
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let wheres = if wheres.is_empty() { "1".to_string() } else { wheres.join(" AND ") };
        let (columns, table, at) = (self.columns, self.table, self.at);
        (format!("SELECT {columns} FROM {table} WHERE {wheres} ORDER BY {at} DESC, id DESC LIMIT ?"), values)
    }
}
