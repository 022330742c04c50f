//! The nearest known name, for suggestions.

/// How unlike two names may be and still be suggested: a third of their letters, at least one.
fn close(a: &str, b: &str) -> Option<usize> {
    let distance = strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase());
    (distance <= (a.chars().count().max(b.chars().count()) / 3).max(1)).then_some(distance)
}

/// The known name that is most like `name`, if one is like it at all.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let scored = known.into_iter().filter_map(|candidate| close(name, candidate).map(|score| (score, candidate)));
    scored.min().map(|(_, candidate)| candidate)
}

/// A hint: the nearest name, or the list of all.
pub(crate) fn hint<'k>(name: &str, what: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`? known {what}: {}", known.join(", ")),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("known {what}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_name_and_other_words_do_not() {
        assert_eq!(nearest("valdate", ["validate", "set", "to"]), Some("validate"));
        assert_eq!(nearest("Approve", ["approve"]), Some("approve"));
        assert_eq!(nearest("elephant", ["validate", "set"]), None);
        assert!(hint("zz", "steps", ["b", "a"]).ends_with("known steps: a, b"));
    }
}
