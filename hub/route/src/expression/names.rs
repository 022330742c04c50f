//! Which names an expression reads: for `check` and `explain`.

use super::ast::{Expr, Node, Range};

/// One reading of a root: `body.ordine.ente` reads the root `body` and the fields `ordine`, `ente`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) root: String,
    pub(crate) range: Range,
    pub(crate) fields: Vec<(String, Range)>,
    /// Inside `has(...)` or behind `.?`: may be missing.
    pub(crate) guarded: bool,
}

/// All readings, in the order of the text.
pub(crate) fn uses(node: &Node) -> Vec<Use> {
    let mut out = Vec::new();
    walk(node, &mut Vec::new(), false, &mut out);
    out
}

fn walk<'a>(node: &'a Node, locals: &mut Vec<&'a str>, guarded: bool, out: &mut Vec<Use>) {
    if let Some(mut found) = path(node) {
        if !locals.contains(&found.root.as_str()) {
            found.guarded |= guarded;
            out.push(found);
        }
        return;
    }
    match &node.expr {
        Expr::Has(field) => walk(field, locals, true, out),
        Expr::Each { list, name, body, .. } => {
            walk(list, locals, guarded, out);
            locals.push(name);
            walk(body, locals, guarded, out);
            let _ = locals.pop();
        }
        _ => {
            let mut children = Vec::new();
            node.children(&mut |child| children.push(child));
            children.into_iter().for_each(|child| walk(child, locals, guarded, out));
        }
    }
}

/// The reading that a chain of names and literal keys spells.
fn path(node: &Node) -> Option<Use> {
    match &node.expr {
        Expr::Name(root) => Some(Use { root: root.clone(), range: node.range, fields: Vec::new(), guarded: false }),
        Expr::Field { of, name, optional } => {
            let mut found = path(of)?;
            found.guarded |= *optional;
            found.fields.push((name.clone(), node.focus));
            Some(found)
        }
        Expr::Index { of, index, optional } => match &index.expr {
            Expr::Text(key) => {
                let mut found = path(of)?;
                found.guarded |= *optional;
                found.fields.push((key.clone(), index.range));
                Some(found)
            }
            _ => None,
        },
        _ => None,
    }
}
