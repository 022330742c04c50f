//! The words of the language as data: one description for `check`, the JSON schema and the manual.

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ty {
    /// A text, literally.
    Text,
    /// A name: letters, digits, `-`, `_`.
    Name,
    /// An identifier that expressions can read: letters, digits, `_`.
    Bind,
    /// A CEL expression; the text says what it must give.
    Expr(&'static str),
    /// A list of CEL expressions.
    Exprs(&'static str),
    /// A tree whose leaves are CEL.
    Mapping,
    /// Names to trees whose leaves are CEL.
    Mappings,
    /// A duration.
    Span,
    /// A whole number in a range.
    Count(u32, u32),
    /// A role of people.
    Role,
    /// A state of `config/cases.yaml`.
    State,
    /// A kind of case of `config/cases.yaml`.
    CaseKind,
    /// One source and its configuration.
    Source,
    /// One sink and its configuration, and the fields of [`TO`] beside it.
    Sink,
    /// A list of steps.
    Steps,
    /// The branches of a choice.
    Branches,
    /// A mapping of fields.
    Record(&'static Shape),
    /// The word, or a mapping of fields of which exactly one is given.
    WordOr(&'static str, &'static Shape),
    /// A state's name, or a mapping of fields.
    StateOr(&'static Shape),
}

/// A mapping of fields.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: Ty,
    pub(crate) required: bool,
    pub(crate) doc: &'static str,
    /// What to write after the colon.
    pub(crate) example: &'static str,
}

const fn must(name: &'static str, ty: Ty, example: &'static str, doc: &'static str) -> Field {
    Field { name, ty, required: true, doc, example }
}

const fn may(name: &'static str, ty: Ty, example: &'static str, doc: &'static str) -> Field {
    Field { name, ty, required: false, doc, example }
}

/// A step of the language itself; plug-ins bring further ones.
#[derive(Debug)]
pub(crate) struct StepWord {
    pub(crate) name: &'static str,
    pub(crate) ty: Ty,
    pub(crate) doc: &'static str,
    pub(crate) example: &'static str,
}

const fn step(name: &'static str, ty: Ty, example: &'static str, doc: &'static str) -> StepWord {
    StepWord { name, ty, doc, example }
}

/// The roles of people.
pub(crate) const ROLES: [&str; 6] =
    ["operatore", "approvatore", "controllore", "integratore", "amministratore", "revisore"];

/// Names that `as` may not bind: they stand for something already.
pub(crate) const RESERVED: [&str; 11] =
    ["body", "headers", "case", "entity", "vars", "now", "true", "false", "null", "in", "as"];

/// A route file.
pub(crate) static ROUTE: Shape = Shape {
    doc: "A route: where messages come from and what happens to each.",
    fields: &[
        must("route", Ty::Name, "mandati-siope", "The route's name, unique in the hub."),
        may("description", Ty::Text, "Payment orders to SIOPE+", "What it is for, in words."),
        must(
            "from",
            Ty::Source,
            "{ http: { path: /ingest/mandati } }",
            "Where messages come from: one source and its configuration.",
        ),
        may(
            "case",
            Ty::Record(&CASE),
            "{ kind: mandato, id: body.numero }",
            "The case each message belongs to; without it each message is its own case.",
        ),
        may(
            "lane",
            Ty::Expr("text"),
            "case.entity",
            "Messages of one lane keep their order; the case's id if not given.",
        ),
        may(
            "idempotent",
            Ty::Record(&IDEMPOTENT),
            "{ key: case.id, remember: 400d }",
            "Business identity, hub-wide: a second message with the same key is refused.",
        ),
        must("steps", Ty::Steps, "[ { log: \"'arrived'\" } ]", "What happens to each message, in order."),
        may(
            "on_failure",
            Ty::Record(&FAILURE),
            "{ retry: { times: 8, min: 1s, max: 5m }, then: park }",
            "What to do when something fails.",
        ),
    ],
};

pub(crate) static CASE: Shape = Shape {
    doc: "How the case of a message is found. Expressions see body, headers and now.",
    fields: &[
        must("kind", Ty::CaseKind, "mandato", "The kind of case, of config/cases.yaml."),
        must(
            "id",
            Ty::Expr("text that is not empty"),
            "body.ente + \"/\" + string(body.numero)",
            "The case's identity.",
        ),
        may(
            "entity",
            Ty::Expr("the code of a row of config/entities.yaml"),
            "body.ente",
            "The entity that the case belongs to.",
        ),
        may("amount", Ty::Expr("a decimal"), "decimal(body.importo)", "The amount."),
    ],
};

pub(crate) static IDEMPOTENT: Shape = Shape {
    doc: "How a repetition is found.",
    fields: &[
        must("key", Ty::Expr("text"), "case.id", "The key, hub-wide."),
        must(
            "remember",
            Ty::Span,
            "400d",
            "How long a finished key is remembered; one with unfinished work never expires.",
        ),
    ],
};

pub(crate) static FAILURE: Shape = Shape {
    doc: "What to do when a step or a send fails.",
    fields: &[
        may("retry", Ty::Record(&RETRY), "{ times: 8, min: 1s, max: 5m }", "How often and how soon it is tried again."),
        may(
            "then",
            Ty::WordOr("park", &TASK_FOR),
            "park",
            "What to do when all tries are over: park the message, and perhaps open a task.",
        ),
    ],
};

pub(crate) static RETRY: Shape = Shape {
    doc: "Tries after the first one, with growing pauses.",
    fields: &[
        may("times", Ty::Count(0, 100), "8", "Tries after the first one."),
        may("min", Ty::Span, "1s", "The first pause."),
        may("max", Ty::Span, "5m", "The longest pause."),
    ],
};

pub(crate) static TASK_FOR: Shape = Shape {
    doc: "A task beside parking.",
    fields: &[must("task", Ty::Role, "controllore", "The role that the task is for.")],
};

pub(crate) static TIMEOUT: Shape = Shape {
    doc: "What to do when nobody answers in time: one of these.",
    fields: &[
        may("task", Ty::Role, "controllore", "Open a task for this role and go on waiting."),
        may("steps", Ty::Steps, "[ { state: in_errore } ]", "Do these steps; the message ends with them."),
    ],
};

pub(crate) static SPLIT: Shape = Shape {
    doc: "One message for each element of a list.",
    fields: &[
        must("each", Ty::Expr("a list"), "body.righe", "The list."),
        must("as", Ty::Bind, "r", "The name each element is bound to."),
        may(
            "case",
            Ty::Record(&CASE),
            "{ kind: mandato, id: r.numero }",
            "The case of each child; the parent's if not given.",
        ),
        must("steps", Ty::Steps, "[ { log: r.numero } ]", "What happens to each child."),
    ],
};

pub(crate) static TO: Shape =
    Shape { doc: "A send.", fields: &[may("as", Ty::Bind, "invio", "The name to bind the receipt to.")] };

pub(crate) static AWAIT: Shape = Shape {
    doc: "An answer that comes later, through another route's `resume`.",
    fields: &[
        must("name", Ty::Name, "siope-ack", "What is awaited; `resume` uses the same name."),
        must("keys", Ty::Exprs("text"), "[flusso.identificativo]", "The keys that the answer may carry."),
        must("within", Ty::Span, "2h", "How long."),
        may("as", Ty::Bind, "ack", "The name to bind the answer to."),
        may(
            "on_timeout",
            Ty::WordOr("park", &TIMEOUT),
            "park",
            "What to do when nobody answers in time: `park`, `{ task: ROLE }` or `{ steps: [...] }`.",
        ),
    ],
};

pub(crate) static RESUME: Shape = Shape {
    doc: "The answer to an `await`.",
    fields: &[
        must("name", Ty::Name, "siope-ack", "What was awaited."),
        must("key", Ty::Expr("text"), "ack.identificativo_flusso", "The key."),
        may("answer", Ty::Mapping, "ack", "What the waiting message binds; the body if not given."),
    ],
};

pub(crate) static APPROVE: Shape = Shape {
    doc: "People decide about the message.",
    fields: &[
        must("role", Ty::Role, "approvatore", "Who may decide."),
        may("people", Ty::Count(1, 20), "2", "How many distinct people must approve; 1 if not given."),
        must("within", Ty::Span, "4h", "How long."),
        may("escalate", Ty::Record(&ESCALATE), "{ after: 3h, to: controllore }", "Who else may decide after a while."),
        may("title", Ty::Expr("text"), "\"'Mandato ' + case.id\"", "A line for people."),
        may("requester", Ty::Expr("text"), "body.richiedente", "Who asked for it: may not approve."),
        may("as", Ty::Bind, "decisione", "The name to bind the decision to."),
        may(
            "on_reject",
            Ty::Steps,
            "[ { state: respinto } ]",
            "What happens to a rejected message, which ends with these steps; state `respinto` if not given.",
        ),
    ],
};

pub(crate) static ESCALATE: Shape = Shape {
    doc: "After a while, another role may decide too.",
    fields: &[
        must("after", Ty::Span, "3h", "After this long; shorter than `within`."),
        must("to", Ty::Role, "controllore", "The role."),
    ],
};

pub(crate) static TASK: Shape = Shape {
    doc: "Someone has to look and say that it is done.",
    fields: &[
        must("role", Ty::Role, "controllore", "Who."),
        may("title", Ty::Expr("text"), "\"'Flusso rifiutato: ' + case.id\"", "A line for people."),
        must("within", Ty::Span, "5d", "How long."),
        may("as", Ty::Bind, "fatto", "The name to bind the decision to."),
    ],
};

pub(crate) static STATE: Shape = Shape {
    doc: "Asks the owner of a case to move it: `to` or `of`, and which case if it is another one.",
    fields: &[
        may("to", Ty::State, "pagato", "The state, by name."),
        may(
            "of",
            Ty::Expr("the name of a state"),
            "r.esito == 'PAGATO' ? 'pagato' : 'acquisito'",
            "The state, computed.",
        ),
        may("case", Ty::Expr("text"), "r.ente + \"/\" + string(r.numero)", "Another case than the message's."),
        may("kind", Ty::CaseKind, "mandato", "The kind of that other case."),
        may(
            "entity",
            Ty::Expr("the code of a row of config/entities.yaml"),
            "r.ente",
            "The entity of that other case.",
        ),
    ],
};

pub(crate) static ARCHIVE: Shape = Shape {
    doc: "Keeps the body byte for byte.",
    fields: &[
        must("class", Ty::Name, "opi", "The archive class."),
        must("retain", Ty::Span, "10y", "How long it must be kept."),
        may("name", Ty::Expr("text"), "\"case.id + '.xml'\"", "A name for people."),
    ],
};

pub(crate) static WHEN: Shape = Shape {
    doc: "A branch that is taken if its condition is true.",
    fields: &[
        must("when", Ty::Expr("true or false"), "ack.stato_flusso == 'KO'", "The condition."),
        must("steps", Ty::Steps, "[ { state: rifiutato_siope } ]", "What happens then."),
    ],
};

pub(crate) static OTHERWISE: Shape = Shape {
    doc: "The branch that is taken if no other is; the last one.",
    fields: &[must("otherwise", Ty::Steps, "[ { state: accettato_siope } ]", "What happens then.")],
};

/// The steps of the language itself.
pub(crate) static STEPS: &[StepWord] = &[
    step("set", Ty::Mappings, "set: { totale: decimal(body.importo) }", "Keeps values under `vars`."),
    step("map", Ty::Mapping, "map: { documento: body.numero }", "Replaces the body with the mapping's value, as JSON."),
    step(
        "choice",
        Ty::Branches,
        "choice: [ { when: body.x == 1, steps: [...] }, { otherwise: [...] } ]",
        "Takes the first branch whose condition is true.",
    ),
    step(
        "filter",
        Ty::Expr("true or false"),
        "filter: body.tipo == 'INSERIMENTO'",
        "Ends the message here unless the condition is true.",
    ),
    step(
        "split",
        Ty::Record(&SPLIT),
        "split: { each: body.righe, as: r, steps: [...] }",
        "Makes one message of each element of a list.",
    ),
    step(
        "to",
        Ty::Sink,
        "to: { siope.flusso: { entity: case.entity }, as: invio }",
        "Sends the body. Never changes it; the receipt is bound by `as`.",
    ),
    step(
        "await",
        Ty::Record(&AWAIT),
        "await: { name: siope-ack, keys: [flusso.identificativo], within: 2h, as: ack }",
        "Waits for an answer. Never changes the body; the answer is bound by `as`.",
    ),
    step(
        "resume",
        Ty::Record(&RESUME),
        "resume: { name: siope-ack, key: ack.identificativo_flusso }",
        "Answers a wait.",
    ),
    step(
        "approve",
        Ty::Record(&APPROVE),
        "approve: { role: approvatore, people: 2, within: 4h }",
        "Waits until people have approved.",
    ),
    step(
        "task",
        Ty::Record(&TASK),
        "task: { role: controllore, within: 5d }",
        "Waits until someone has looked and said so.",
    ),
    step("state", Ty::StateOr(&STATE), "state: pagato", "Asks the owner of the case to move it."),
    step("archive", Ty::Record(&ARCHIVE), "archive: { class: opi, retain: 10y }", "Keeps the body byte for byte."),
    step(
        "idempotent",
        Ty::Record(&IDEMPOTENT),
        "idempotent: { key: case.id, remember: 400d }",
        "Ends the message here if the key was seen before.",
    ),
    step("log", Ty::Expr("text"), "log: \"'arrived: ' + case.id\"", "Writes a line to the case's history."),
];

/// The step of this name.
pub(crate) fn step_word(name: &str) -> Option<&'static StepWord> {
    STEPS.iter().find(|word| word.name == name)
}

impl Shape {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
