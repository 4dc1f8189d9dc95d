//! Templates in properties: `{{inputs.x}}`, `{{nodes.id.output.y}}`, `{{context.key}}`,
//! `{{proposal}}`.
//!
//! A text that consists of one expression becomes the expression's value, with its type; any other text
//! becomes a text, in which arrays and objects are written as JSON. An undefined variable is an error, never
//! an empty text.
//!
//! No template can read files, run for long, or use much memory or stack:
//!
//! - its tokens are counted before it is parsed ([`compile`]), for each text and for a graph;
//! - it is parsed and filled on threads with a large stack ([`workers`]);
//! - its steps are counted, and every value is charged before it is created ([`meter`]), from one
//!   [`TemplateBudget`] for all texts of an attempt.

mod compile;
mod filters;
mod meter;
mod operators;
mod workers;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::sync::LazyLock;

use minijinja::machinery::{eval, make_string_output};
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use compile::{ONE, Program, Source};
use relive_session::NodeId;

pub use workers::with_stack;
pub use workers::{Broken, run as on_worker};

/// Steps that filling all texts of one attempt may take.
const STEPS: u64 = 1_000_000;
/// Bytes that it may use, intermediate values included.
const MEMORY: u64 = 64 * 1024 * 1024;
/// Bytes of the result of one text.
const FILLED_BYTES: usize = 1024 * 1024;
/// Bytes of JSON of the result of a text which is one expression.
const VALUE_BYTES: usize = 4 * 1024 * 1024;
/// Tokens in all texts of a graph.
const GRAPH_TOKENS: usize = 300_000;

/// Why a template cannot be parsed or filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("cannot be read as a template: {0}")]
    Syntax(String),
    #[error("is too large for a template: {0}")]
    TooLarge(String),
    #[error("refers to {{{{{0}}}}}, which does not exist")]
    Missing(String),
    #[error("cannot be filled: {0}")]
    Failed(String),
}

/// What filling the texts of one attempt may still use.
#[derive(Debug)]
pub struct TemplateBudget {
    /// Steps and bytes.
    left: Mutex<(u64, u64)>,
}

impl Default for TemplateBudget {
    fn default() -> Self {
        Self { left: Mutex::new((STEPS, MEMORY)) }
    }
}

impl TemplateBudget {
    /// Charges for the values that templates are given.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Failed`] if the budget is exhausted.
    pub fn charge(&self, bytes: usize) -> Result<(), TemplateError> {
        let mut left = self.left.lock();
        let rest = left.1.checked_sub(bytes as u64);
        left.1 = rest.unwrap_or_default();
        rest.map(drop).ok_or_else(|| TemplateError::Failed("it refers to too much".to_owned()))
    }
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_recursion_limit(100);
    environment.set_formatter(write);
    filters::add_to(&mut environment);
    operators::add_to(&mut environment);
    environment.add_global(ONE, 1);
    environment
});

/// Writes a value into a text.
fn write(output: &mut Output, state: &mut State, value: &minijinja::Value) -> Result<(), Error> {
    meter::charge_value(value)?;
    if value.is_undefined() || value.kind() == ValueKind::String {
        return minijinja::escape_formatter(output, state, value);
    }
    let mut json = Bounded(Vec::new(), FILLED_BYTES);
    serde_json::to_writer(&mut json, value).map_err(|_| meter::refuse("a text becomes too long"))?;
    meter::charge_text(json.0.len())?;
    Ok(output.write_str(&String::from_utf8_lossy(&json.0))?)
}

thread_local! {
    /// Tokens that the graph being read on this thread may still have.
    static TOKENS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Reads one graph, whose templates share one limit.
pub fn for_one_graph<T>(read: impl FnOnce() -> T) -> T {
    let before = TOKENS_LEFT.replace(Some(GRAPH_TOKENS));
    let result = read();
    TOKENS_LEFT.set(before);
    result
}

/// Checks every text in a value, without filling any.
///
/// # Errors
///
/// [`TemplateError::Syntax`] or [`TemplateError::TooLarge`] for the first that cannot be parsed.
pub fn check(value: &Value) -> Result<(), TemplateError> {
    if is_plain(value) {
        return Ok(());
    }
    let mut left = TOKENS_LEFT.get().unwrap_or(GRAPH_TOKENS);
    let checked = with_stack(|| {
        texts(value, &mut |text| {
            let Some(source) = Source::of(text)? else { return Ok(()) };
            let all = || TemplateError::TooLarge(format!("the graph's templates have more than {GRAPH_TOKENS} parts"));
            left = left.checked_sub(source.tokens).ok_or_else(all)?;
            Program::read(&source)?.guarded().map(drop)
        })
    });
    TOKENS_LEFT.set(TOKENS_LEFT.get().map(|_| left));
    checked
}

/// Whether a value contains no templates.
#[must_use]
pub fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains("{{") && !text.contains("{%"),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(entries) => entries.values().all(is_plain),
        _ => true,
    }
}

/// The variables that the templates in a value refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References(BTreeSet<Vec<String>>);

impl References {
    /// # Errors
    ///
    /// As [`check`].
    pub fn of(value: &Value) -> Result<Self, TemplateError> {
        with_stack(|| {
            let mut paths = BTreeSet::new();
            texts(value, &mut |text| {
                let Some(source) = Source::of(text)? else { return Ok(()) };
                paths.extend(Program::read(&source)?.all_references());
                Ok(())
            })?;
            Ok(Self(paths))
        })
    }

    /// Whether any begins with this name.
    #[must_use]
    pub fn has(&self, root: &str) -> bool {
        self.0.iter().any(|path| path.first().is_some_and(|first| first == root))
    }

    /// The nodes whose outputs are referred to; `None` if it cannot be determined and may be any.
    #[must_use]
    pub fn nodes(&self) -> Option<BTreeSet<NodeId>> {
        let below = self.0.iter().filter(|path| path.first().is_some_and(|first| first == "nodes"));
        below.map(|path| path.get(1).map(|id| NodeId::from(&id[..]))).collect()
    }
}

/// Fills every template in a value. Slow: not for threads that serve requests.
///
/// # Errors
///
/// [`TemplateError::Missing`] if a template refers to a variable that is not in `scope`;
/// [`TemplateError::Failed`] if the budget is exhausted.
pub fn fill(value: &Value, scope: &Value, budget: &TemplateBudget) -> Result<Value, TemplateError> {
    if is_plain(value) {
        return Ok(value.clone());
    }
    with_stack(|| {
        let mut left = budget.left.lock();
        meter::grant(left.1);
        let root = minijinja::Value::from(minijinja::value::Serde(scope));
        let mut filling = Filling { scope, root, steps: left.0 };
        let filled = filling.value(value);
        *left = (filling.steps, meter::left());
        filled
    })
}

/// The template of an expression such as `nodes.a.output.score > 3`, in `{{ }}` or without: filled, it
/// becomes the expression's value.
#[must_use]
pub fn as_expression(expression: &str) -> Value {
    let is_template = expression.contains("{{") || expression.contains("{%");
    Value::String(if is_template { expression.to_owned() } else { format!("{{{{ {expression} }}}}") })
}

/// The approximate size of a value in bytes.
#[must_use]
pub fn weight(value: &Value) -> usize {
    const NODE: usize = 16;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(entries) => entries.iter().map(|(key, entry)| key.len() + weight(entry)).sum(),
        _ => 0,
    }
}

struct Filling<'a> {
    scope: &'a Value,
    root: minijinja::Value,
    steps: u64,
}

impl Filling<'_> {
    fn value(&mut self, value: &Value) -> Result<Value, TemplateError> {
        Ok(match value {
            Value::String(text) => self.text(text)?,
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?,
            Value::Object(entries) => {
                let filled = entries.iter().map(|(key, entry)| Ok((key.clone(), self.value(entry)?)));
                filled.collect::<Result<Map<_, _>, TemplateError>>().map(Value::Object)?
            }
            plain => plain.clone(),
        })
    }

    fn text(&mut self, text: &str) -> Result<Value, TemplateError> {
        let Some(source) = Source::of(text)? else { return Ok(Value::String(text.to_owned())) };
        self.steps = self.steps.saturating_sub(source.tokens as u64);
        let program = Program::read(&source)?;
        let filled = self.run(&program, source.is_expression);
        filled.map_err(|error| explain(&error, &program, self.scope))
    }

    fn run(&mut self, program: &Program<'_>, is_expression: bool) -> Result<Value, Error> {
        let instructions = program.guarded().map_err(|error| Error::new(ErrorKind::SyntaxError, error.to_string()))?;
        let mut environment = ENVIRONMENT.clone();
        environment.set_fuel(Some(std::mem::take(&mut self.steps)));
        let mut text = String::new();
        let mut output = make_string_output(&mut text);
        let blocks = std::collections::BTreeMap::new();
        let evaluated = eval(&environment, &instructions, self.root.clone(), &blocks, &mut output, AutoEscape::None)?;
        let (value, state) = evaluated;
        self.steps = state.fuel_levels().map_or(0, |(_, left)| left);
        if !is_expression {
            if text.len() > FILLED_BYTES {
                return Err(meter::refuse("it becomes too long"));
            }
            return Ok(Value::String(text));
        }
        let value = value.unwrap_or_default();
        if value.is_undefined() {
            return Err(ErrorKind::UndefinedError.into());
        }
        meter::charge_value(&value)?;
        let too_long = |_| meter::refuse("it becomes too long");
        serde_json::to_writer(Bounded(Vec::new(), VALUE_BYTES), &value).map_err(too_long)?;
        serde_json::to_value(value).map_err(|_| ErrorKind::BadSerialization.into())
    }
}

fn explain(error: &Error, program: &Program<'_>, scope: &Value) -> TemplateError {
    if error.kind() == ErrorKind::UndefinedError
        && let Some(missing) = program.references().into_iter().find(|path| lacks(scope, path))
    {
        return TemplateError::Missing(missing.join(".").chars().take(300).collect());
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::Failed("it takes too many steps".to_owned());
    }
    TemplateError::Failed(detail(error))
}

fn lacks(scope: &Value, path: &[String]) -> bool {
    let mut at = scope;
    for part in path {
        let below = match at {
            Value::Object(entries) => entries.get(part),
            Value::Array(items) => part.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        let Some(below) = below else { return true };
        at = below;
    }
    false
}

fn detail(error: &Error) -> String {
    let kind = error.kind().to_string();
    error.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}")).chars().take(300).collect()
}

fn texts(value: &Value, look: &mut impl FnMut(&str) -> Result<(), TemplateError>) -> Result<(), TemplateError> {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().try_for_each(|item| texts(item, look)),
        Value::Object(entries) => entries.values().try_for_each(|entry| texts(entry, look)),
        _ => Ok(()),
    }
}

/// Accepts a limited number of bytes.
struct Bounded(Vec<u8>, usize);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(io::Error::other("it becomes too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
