pub(crate) mod quoting;
