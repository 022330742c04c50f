//! What a test of a plug-in hands to it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use hub_core::plugin::{OpenCx, Shared};
use hub_core::{Attempt, Body, Case, Clock, Crossing, Entities, Headers, MessageId, Outgoing, Value};

/// An opening context: this clock, this configuration folder, route `test`, nothing else.
#[must_use]
pub fn open_cx(clock: Arc<dyn Clock>, root: &Path) -> OpenCx {
    OpenCx {
        clock,
        root: root.to_path_buf(),
        route: "test".into(),
        cursor: Value::Null,
        entities: Arc::new(Entities(BTreeMap::new())),
        named: Arc::new(HashMap::new()),
        shared: Arc::new(Shared::default()),
    }
}

/// The same context with the settings `section`/`name` added, as `config/hub.yaml` would.
#[must_use]
pub fn with_settings(mut cx: OpenCx, section: &str, name: &str, settings: Value) -> OpenCx {
    let mut named = (*cx.named).clone();
    let _ = named.entry(section.into()).or_default().insert(name.into(), settings);
    cx.named = Arc::new(named);
    cx
}

/// A message on its way out, with this body and these parameters.
#[must_use]
pub fn outgoing(body: Body, params: Value) -> Outgoing {
    let message = MessageId::derive(&["test", &body.sha256()]);
    let (id, case) = (message.child("to", 0), Case::of_message(&message));
    Outgoing { id, message, case, headers: Headers::new(), body, params, bound: Value::Null }
}

/// A first attempt that begins now, behind this crossing.
#[must_use]
pub fn attempt(clock: &dyn Clock, crossing: Arc<Crossing>) -> Attempt {
    let now = clock.now();
    Attempt { key: "test-key-1".into(), number: 1, first_at: now, at: now, crossing }
}
