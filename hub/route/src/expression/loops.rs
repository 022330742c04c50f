//! How deeply loops may be nested.

use super::ast::{Expr, Node};
use super::compile::Mistake;

/// Deepest nesting of `map`, `filter`, `all`, `exists`: work grows with this power of the message's size.
const LOOPS_MAX: usize = 2;

/// Looks for loops in loops in loops.
pub(super) fn check_loops(node: &Node, loops: usize) -> Result<(), Mistake> {
    let inside = loops + usize::from(matches!(node.expr, Expr::Each { .. }));
    if inside > LOOPS_MAX {
        let message = format!("more than {LOOPS_MAX} of map, filter, all and exists are nested");
        return Err(Mistake::new("expression-loops", node.focus, message, "compute the inner list with `set` first"));
    }
    let mut result = Ok(());
    if let Expr::Each { list, body, .. } = &node.expr {
        return check_loops(list, loops).and_then(|()| check_loops(body, inside));
    }
    node.children(&mut |child| {
        if result.is_ok() {
            result = check_loops(child, loops);
        }
    });
    result
}
