//! Everything that this process says in its log, at the finest level.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

/// Listens from now on.
pub(super) fn listen() -> Said {
    let said = Said::default();
    let writer = said.clone();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter("trace").with_ansi(false).with_writer(move || writer.clone());
    subscriber.try_init().expect("nobody else listens");
    said
}

impl Said {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
