//! The reference manual of the language, in Markdown: from the same tables as `check` and the schema.

use hub_core::plugin::{Def, Registry};
use serde_json::Value;

use crate::check::PluginSchema;
use crate::expression;
use crate::language::{self, Field, ROLES, Shape, Ty};

/// The manual.
#[must_use]
pub fn manual(registry: Registry) -> String {
    let mut page = Page { text: "# The route language\n".into() };
    page.paragraph(
        "A file holds one route. Durations are written `30s`, `4h`, `400d`; sizes `64kB`, `5MiB`; roles are ",
    );
    page.text.push_str(&format!("{}.\n", ROLES.join(", ")));
    page.shape("A route", &language::ROUTE);
    for (title, shape) in [("case", &language::CASE), ("idempotent", &language::IDEMPOTENT)] {
        page.shape(title, shape);
    }
    page.shape("on_failure", &language::FAILURE);
    page.shape("on_failure: retry", &language::RETRY);
    page.heading(2, "Steps");
    for word in language::STEPS {
        page.heading(3, word.name);
        page.paragraph(word.doc);
        page.example(word.example);
        page.ty(word.ty);
    }
    page.plugins("Steps of plug-ins", registry.steps());
    page.plugins("Sources", registry.sources());
    page.plugins("Sinks", registry.sinks());
    page.heading(2, "Functions of expressions");
    for (name, usage, doc) in expression::functions() {
        page.text.push_str(&format!("- **{name}** `{usage}`: {doc}\n"));
    }
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, level: usize, title: &str) {
        self.text.push_str(&format!("\n{} {title}\n", "#".repeat(level)));
    }

    fn paragraph(&mut self, text: &str) {
        self.text.push_str(&format!("\n{text}\n"));
    }

    fn example(&mut self, example: &str) {
        self.text.push_str(&format!("\n```yaml\n- {example}\n```\n"));
    }

    fn shape(&mut self, title: &str, shape: &Shape) {
        self.heading(2, title);
        self.paragraph(shape.doc);
        self.fields(shape);
    }

    fn fields(&mut self, shape: &Shape) {
        self.text.push('\n');
        shape.fields.iter().for_each(|field| self.field(field, 0));
    }

    fn field(&mut self, field: &Field, depth: usize) {
        let must = if field.required { ", must be there" } else { "" };
        let indent = "  ".repeat(depth);
        let line =
            format!("{indent}- `{}` ({}{must}): {} `{}`\n", field.name, kind(field.ty), field.doc, field.example);
        self.text.push_str(&line);
        let inner = match field.ty {
            Ty::WordOr(_, shape) => shape.fields,
            Ty::Record(shape) if depth == 0 && !std::ptr::eq(shape, &language::CASE) => shape.fields,
            _ => &[],
        };
        inner.iter().for_each(|field| self.field(field, depth + 1));
    }

    fn ty(&mut self, ty: Ty) {
        match ty {
            Ty::Record(shape) | Ty::StateOr(shape) | Ty::WordOr(_, shape) => self.fields(shape),
            Ty::Branches => [&language::WHEN, &language::OTHERWISE].into_iter().for_each(|shape| self.fields(shape)),
            Ty::Sink => self.fields(&language::TO),
            _ => {}
        }
    }

    fn plugins<T: 'static>(&mut self, title: &str, defs: impl Iterator<Item = &'static Def<T>>) {
        self.heading(2, title);
        for def in defs {
            let raw = (def.schema)();
            let schema = PluginSchema::new(&raw);
            self.heading(3, def.kind);
            self.paragraph(text(raw.as_value(), "description"));
            self.text.push('\n');
            for (name, property) in schema.properties() {
                let expression = if schema.is_expression(name) { " (expression)" } else { "" };
                let line = text(property, "description").replace('\n', " ");
                self.text.push_str(&format!("- `{name}`{expression}: {line}\n"));
            }
        }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A type in words.
fn kind(ty: Ty) -> String {
    match ty {
        Ty::Text => "text".into(),
        Ty::Name | Ty::Bind => "name".into(),
        Ty::Expr(result) => format!("expression that gives {result}"),
        Ty::Exprs(result) => format!("list of expressions, each gives {result}"),
        Ty::Mapping => "tree of expressions".into(),
        Ty::Mappings => "names and trees of expressions".into(),
        Ty::Span => "duration".into(),
        Ty::Count(least, most) => format!("{least} to {most}"),
        Ty::Role => "role".into(),
        Ty::State => "state".into(),
        Ty::CaseKind => "kind of case".into(),
        Ty::Source => "one source".into(),
        Ty::Sink => "one sink".into(),
        Ty::Steps => "steps".into(),
        Ty::Branches => "branches".into(),
        Ty::Record(_) => "fields".into(),
        Ty::WordOr(word, _) => format!("`{word}`, or fields"),
        Ty::StateOr(_) => "state, or fields".into(),
    }
}
