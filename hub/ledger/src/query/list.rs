//! Keyset lists: the one way in which all lists are read.

use crate::Error;
use crate::page::{Key, Page, PageRequest, page};
use crate::sql::{Row, Sql, Value};

/// More entities than this are not asked one by one.
const ENTITIES_MAX: usize = 512;

/// A list to be read, newest first. All text in it is ours; what callers say goes through `?`.
pub(super) struct List {
    pub(super) columns: &'static str,
    pub(super) table: &'static str,
    /// The time that orders it.
    pub(super) at: &'static str,
    wheres: Vec<String>,
    values: Vec<Value<'static>>,
}

/// How a row is read, and what orders it.
pub(super) struct Shape<T> {
    pub(super) read: fn(&Row) -> Result<T, Error>,
    pub(super) key: fn(&T) -> Key,
}

impl List {
    pub(super) fn new(columns: &'static str, table: &'static str, at: &'static str) -> Self {
        Self { columns, table, at, wheres: Vec::new(), values: Vec::new() }
    }

    /// Adds a condition with one `?`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value<'static>>) {
        self.wheres.push(condition.to_string());
        self.values.push(value.into());
    }

    /// Adds a condition if there is a value.
    pub(super) fn and_if(&mut self, condition: &str, value: Option<impl Into<Value<'static>>>) {
        if let Some(value) = value {
            self.and(condition, value);
        }
    }

    /// Adds a condition with as many `?` as there are values.
    pub(super) fn and_all(&mut self, condition: String, values: impl IntoIterator<Item = Value<'static>>) {
        self.wheres.push(condition);
        self.values.extend(values);
    }

    /// Reads one page. With `entities` each is read by its own index and the results are merged: no sort of many rows.
    pub(super) fn page<T>(
        &self,
        sql: &mut dyn Sql,
        entities: Option<&[String]>,
        request: &PageRequest,
        shape: &Shape<T>,
    ) -> Result<Page<T>, Error> {
        let (limit, behind) = (request.rows()?, request.behind()?);
        let rows = match entities {
            None => self.rows(sql, None, behind.as_ref(), limit + 1, shape)?,
            Some(entities) if entities.len() > ENTITIES_MAX => {
                return Err(Error::BadFilter(format!("more than {ENTITIES_MAX} entities; ask for one of them")));
            }
            Some(entities) => self.merged(sql, entities, behind.as_ref(), limit + 1, shape)?,
        };
        Ok(page(rows, limit, shape.key))
    }

    fn merged<T>(
        &self,
        sql: &mut dyn Sql,
        entities: &[String],
        behind: Option<&Key>,
        limit: usize,
        shape: &Shape<T>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for entity in entities {
            all.extend(self.rows(sql, Some(entity), behind, limit, shape)?);
            all.sort_by_cached_key(|row| std::cmp::Reverse((shape.key)(row)));
            all.truncate(limit);
        }
        Ok(all)
    }

    fn rows<T>(
        &self,
        sql: &mut dyn Sql,
        entity: Option<&str>,
        behind: Option<&Key>,
        limit: usize,
        shape: &Shape<T>,
    ) -> Result<Vec<T>, Error> {
        let (asked, values) = self.sql(entity, behind, limit);
        sql.rows(&asked, &values, shape.read)
    }

    /// The statement and its values.
    pub(super) fn sql(
        &self,
        entity: Option<&str>,
        behind: Option<&Key>,
        limit: usize,
    ) -> (String, Vec<Value<'static>>) {
        let (mut wheres, mut values) = (self.wheres.clone(), self.values.clone());
        if let Some(entity) = entity {
            wheres.push("entity = ?".into());
            values.push(entity.to_string().into());
        }
        if let Some(key) = behind {
            wheres.push(format!("({}, id) < (?, ?)", self.at));
            values.extend([key.at.into(), key.id.clone().into()]);
        }
        values.push(limit.into());
        let wheres = if wheres.is_empty() { "1 = 1".to_string() } else { wheres.join(" AND ") };
        let (columns, table, at) = (self.columns, self.table, self.at);
        (format!("SELECT {columns} FROM {table} WHERE {wheres} ORDER BY {at} DESC, id DESC LIMIT ?"), values)
    }
}

/// `column IN (?, ?)`, which nothing fits when there is no value.
pub(super) fn any_of(column: &str, count: usize) -> String {
    match count {
        0 => "1 = 0".to_owned(),
        _ => format!("{column} IN ({})", vec!["?"; count].join(", ")),
    }
}
