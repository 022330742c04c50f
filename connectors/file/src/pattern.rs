//! File name patterns: `*` is any run of characters, `?` exactly one.

/// Whether a name fits a pattern. Linear in the name for each `*`, without recursion.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => (star, p) = (Some((p, n)), p + 1),
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => (star, p, n) = (Some((at, from + 1)), at + 1, from + 1),
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in [("*.json", "a.json"), ("*", ""), ("a*b*c", "a--b--b-c"), ("?.x", "à.x"), ("a", "a")] {
            assert!(fits(pattern, name), "{pattern} fits {name}");
        }
        for (pattern, name) in [("*.json", "a.xml"), ("?", ""), ("a*b", "a-c"), ("a", "ab"), ("", "a")] {
            assert!(!fits(pattern, name), "{pattern} does not fit {name}");
        }
    }
}
