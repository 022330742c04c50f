//! The only list of plug-ins. One line each, in alphabetical order.

use hub_core::plugin::{Plugin, Registry};

/// Everything this binary knows.
pub(crate) const REGISTRY: Registry = Registry(PLUGINS);

const PLUGINS: &[Plugin] = &[
    transform_basic::PLUGIN,
    connector_file::PLUGIN,
    connector_http::PLUGIN,
    transform_opi::PLUGIN,
    transform_sign::PLUGIN,
    connector_siope::PLUGIN,
    connector_timer::PLUGIN,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_are_unique_and_plug_ins_in_order() {
        let names: Vec<_> = PLUGINS.iter().map(|plugin| plugin.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for kinds in [
            REGISTRY.sources().map(|d| d.kind).collect::<Vec<_>>(),
            REGISTRY.steps().map(|d| d.kind).collect(),
            REGISTRY.sinks().map(|d| d.kind).collect(),
        ] {
            assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), kinds.len(), "{kinds:?}");
        }
    }
}
