//! One judgement: the validator's findings as problems with path, line and column.

use std::cell::{Cell, RefCell};

use hub_core::Problem;
use xsd_schema::SchemaSet;
use xsd_schema::validation::{
    DriveWithError, InstancePath, PathStep, SchemaValidator, ValidationError, ValidationEventHandler, ValidationFlags,
    ValidationSink, ValidationWarning, drive_quick_xml_with,
};

use crate::line_column;
use crate::schema::PROBLEMS_MAX;

/// Judges a text that the limits have passed.
pub(super) fn judge(set: &SchemaSet, text: &str) -> Vec<Problem> {
    let findings = Findings { text, offset: Cell::new(0), problems: RefCell::default() };
    // Values are judged, never read: retaining them would cost an allocation each.
    let flags = ValidationFlags::default() & !ValidationFlags::BUILD_PSVI_TYPED_VALUES;
    let validator = SchemaValidator::new(set, flags);
    let mut runtime = validator.start_run(&findings);
    match drive_quick_xml_with(text.as_bytes(), &mut runtime, set, &mut &findings) {
        Ok(_) => {
            if let Err(error) = runtime.end_validation() {
                findings.add(&error);
            }
        }
        Err(DriveWithError::Hook(Full)) => {}
        Err(error) => findings.unreadable(&error),
    }
    drop(runtime);
    findings.problems.into_inner()
}

/// Enough problems were found.
#[derive(Debug)]
struct Full;

/// What has been found, and where the reader stands.
struct Findings<'a> {
    text: &'a str,
    /// Start of the element that was opened, or end of the one that was closed, last.
    offset: Cell<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl Findings<'_> {
    fn add(&self, error: &ValidationError) {
        let field = error.instance_path().map(path).unwrap_or_default();
        let (line, column) = line_column(self.text.as_bytes(), self.offset.get());
        let detail = format!("{} (rule {}, line {line}, column {column})", error.message, error.constraint);
        self.push(Problem::at("xsd", field, detail));
    }

    fn unreadable(&self, error: &DriveWithError<Full>) {
        self.push(Problem::at("xml.malformed", "", format!("document is not well-formed XML: {error}")));
    }

    fn push(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        // The same fault is often reported for the value and for its type.
        if problems.len() < PROBLEMS_MAX && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn stand_at(&self, offset: usize) -> Result<(), Full> {
        self.offset.set(offset);
        if self.problems.borrow().len() < PROBLEMS_MAX { Ok(()) } else { Err(Full) }
    }
}

impl ValidationSink for &Findings<'_> {
    fn on_error(&mut self, error: ValidationError) {
        self.add(&error);
    }
    fn on_warning(&mut self, _: ValidationWarning) {}
}

impl ValidationEventHandler for &Findings<'_> {
    type Error = Full;
    fn on_element_start_offset(&mut self, offset: usize) -> Result<(), Full> {
        self.stand_at(offset)
    }
    fn on_element_end_offset(&mut self, offset: usize) -> Result<(), Full> {
        self.stand_at(offset)
    }
}

/// `/flusso/mandato[2]/@id`: local names, with a position where it says something.
fn path(path: &InstancePath) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Element { name, position: 1, .. } => format!("/{}", name.local_name()),
        PathStep::Element { name, position, .. } => format!("/{}[{position}]", name.local_name()),
        step => format!("/@{}", step.name().local_name()),
    };
    path.steps().map(step).collect()
}
