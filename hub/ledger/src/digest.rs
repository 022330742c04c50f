//! One number for the whole content of a ledger.

use sha2::{Digest, Sha256};

use crate::Error;
use crate::schema::TABLES;
use crate::sql::{Sql, Value};

/// SHA-256 over all content, in hexadecimal. Equal content gives an equal digest, however it came about and in whatever
/// database.
pub(crate) fn digest(sql: &mut dyn Sql) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for (table, order) in TABLES {
        hash.update(table.as_bytes());
        sql.each(&format!("SELECT * FROM {table} ORDER BY {order}"), &[], &mut |row| {
            row.values().iter().for_each(|value| digest_value(&mut hash, value));
            Ok(())
        })?;
    }
    Ok(hex::encode(hash.finalize()))
}

fn digest_value(hash: &mut Sha256, value: &Value<'_>) {
    let number;
    let (tag, bytes): (u8, &[u8]) = match value {
        Value::Null => (0, &[]),
        Value::Int(n) => {
            number = n.to_be_bytes();
            (1, &number)
        }
        Value::Text(text) => (3, text.as_bytes()),
    };
    hash.update([tag]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
