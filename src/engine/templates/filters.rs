//! The filters, tests and functions of templates: minijinja's own, charged for their arguments and their
//! results. Those whose results can be much larger than their arguments are checked before they run.

use std::io;

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, State, filters, functions, tests};
use serde::Serialize as _;

use super::meter::{TEXT, charge, charge_value, evaluate, refuse};

/// The largest width, indentation or number of columns.
const WIDEST: usize = 1_000;
/// Bytes that a width in a format may ask for.
const FORMAT_WIDTH: usize = 100;

/// Checks the arguments before a filter runs.
type Check = fn(&[Value]) -> Result<(), Error>;

pub(super) fn add_to(environment: &mut Environment<'static>) {
    macro_rules! filters {
        ($($name:ident $(= $alias:literal)? $(if $look:expr)?),* $(,)?) => {$({
            let look: &[Check] = &[$($look)?];
            let guarded = guarded(Value::from_function(filters::$name), look.first().copied());
            $(environment.add_filter($alias, guarded.clone());)?
            environment.add_filter(stringify!($name), guarded);
        })*};
    }
    macro_rules! tests {
        ($($name:literal: $test:ident),* $(,)?) => {$(
            let test = guarded(Value::from_function(tests::$test), None);
            environment.add_test($name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
                test(state, args).map(|answer| answer.is_true())
            });
        )*};
    }
    filters! {
        abs, attr, batch if columns, bool, capitalize, chain, default = "d", dictsort if sorting, escape = "e", first,
        float, format if format, groupby if sorting, indent if indent, int, items, join if join, last,
        length = "count", lines, list, lower, map, max, min, reject, rejectattr, replace if replace, reverse, round,
        safe, select, selectattr, slice if columns, sort if sorting, split, string, sum if sum, title,
        tojson if tojson, trim, unique if sorting, upper, zip
    }
    environment.add_filter("urlencode", urlencode);
    tests! {
        "undefined": is_undefined, "defined": is_defined, "none": is_none, "safe": is_safe, "escaped": is_safe,
        "boolean": is_boolean, "odd": is_odd, "even": is_even, "divisibleby": is_divisibleby, "number": is_number,
        "integer": is_integer, "int": is_integer, "float": is_float, "string": is_string, "sequence": is_sequence,
        "iterable": is_iterable, "mapping": is_mapping, "startingwith": is_startingwith,
        "endingwith": is_endingwith, "lower": is_lower, "upper": is_upper, "sameas": is_sameas, "eq": is_eq,
        "equalto": is_eq, "==": is_eq, "ne": is_ne, "!=": is_ne, "lt": is_lt, "lessthan": is_lt, "<": is_lt,
        "le": is_le, "<=": is_le, "gt": is_gt, "greaterthan": is_gt, ">": is_gt, "ge": is_ge, ">=": is_ge,
        "in": is_in, "true": is_true, "false": is_false, "filter": is_filter, "test": is_test,
    }
    for (name, function) in
        [("range", Value::from_function(functions::range)), ("dict", Value::from_function(functions::dict))]
    {
        environment.add_function(name, guarded(function, None));
    }
    environment.add_function("namespace", |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        args.iter().try_for_each(charge_value)?;
        Value::from_function(functions::namespace).call(state, &args)
    });
}

fn guarded(
    inner: Value,
    look: Option<Check>,
) -> impl Fn(&mut State, Rest<ValueOrKwargs>) -> Result<Value, Error> + Clone + Send + Sync + 'static {
    move |state, args| {
        let args = args.into_values();
        args.iter().try_for_each(charge_value)?;
        if let Some(look) = look {
            look(&args)?;
        }
        evaluate(inner.call(state, &args)?)
    }
}

/// The arguments after the value, whether positional or named.
fn others(args: &[Value]) -> impl Iterator<Item = Value> {
    let behind = args.get(1..).unwrap_or_default().iter();
    behind.flat_map(|arg| {
        let named = arg.is_kwargs().then(|| arg.try_iter().ok()).flatten().into_iter().flatten();
        let named = named.filter_map(|name| arg.get_item(&name).ok());
        (!arg.is_kwargs()).then(|| arg.clone()).into_iter().chain(named).collect::<Vec<_>>()
    })
}

fn named(args: &[Value], name: &str) -> Option<Value> {
    let value = args.last().filter(|last| last.is_kwargs())?.get_attr(name).ok()?;
    (!value.is_undefined()).then_some(value)
}

fn text(args: &[Value], at: usize) -> &str {
    args.get(at).and_then(Value::as_str).unwrap_or_default()
}

fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > TEXT { Err(refuse("a text becomes too long")) } else { charge(bytes) }
}

/// The largest number among the arguments.
fn widest(args: &[Value]) -> Result<usize, Error> {
    let width = others(args).filter_map(|arg| arg.as_usize()).max().unwrap_or_default();
    if width > WIDEST { Err(refuse("a number given to a filter is too large")) } else { Ok(width) }
}

fn columns(args: &[Value]) -> Result<(), Error> {
    // The filler of the last column counts as often as it may be used.
    let filling = args.get(2).cloned().or_else(|| named(args, "fill_with"));
    (0..widest(args)?).try_for_each(|_| filling.iter().try_for_each(charge_value))
}

fn sorting(args: &[Value]) -> Result<(), Error> {
    // Sorting visits each value several times.
    args.iter().chain(args).chain(args).try_for_each(charge_value)
}

fn join(args: &[Value]) -> Result<(), Error> {
    let Some(list) = args.first() else { return Ok(()) };
    let items = list.as_str().map(|text| text.chars().count()).or_else(|| list.len()).unwrap_or_default();
    let separator = args.get(1).filter(|given| !given.is_kwargs()).cloned().or_else(|| named(args, "d"));
    let separator = separator.map(|separator| separator.to_string().len()).unwrap_or_default();
    fits(separator.saturating_mul(items))
}

fn replace(args: &[Value]) -> Result<(), Error> {
    let value = args.first().map(ToString::to_string).unwrap_or_default();
    let found = value.matches(text(args, 1)).count();
    let replacement = args.get(2).map_or(0, |with| with.to_string().len());
    fits(value.len().saturating_add(found.saturating_mul(replacement)))
}

fn indent(args: &[Value]) -> Result<(), Error> {
    let lines = text(args, 0).matches('\n').count() + 1;
    fits(text(args, 0).len().saturating_add(lines.saturating_mul(widest(args)?)))
}

fn format(args: &[Value]) -> Result<(), Error> {
    let format = text(args, 0);
    let widest = format.split(|letter: char| !letter.is_ascii_digit()).map(|digits| match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(usize::MAX),
    });
    if widest.max().unwrap_or_default() > FORMAT_WIDTH || format.contains('*') {
        return Err(refuse("a width in the format is too large"));
    }
    let longest = others(args).map(|arg| arg.to_string().len()).max().unwrap_or_default();
    let places = format.matches(['%', '{']).count();
    fits(format.len().saturating_add(places.saturating_mul(longest.saturating_add(FORMAT_WIDTH))))
}

fn sum(args: &[Value]) -> Result<(), Error> {
    let is_number = |value: &Value| value.is_number() || value.as_str().is_none() && value.as_object().is_none();
    if named(args, "start").is_some_and(|start| !is_number(&start))
        || args.get(2).is_some_and(|given| !given.is_kwargs() && !is_number(given))
    {
        return Err(refuse("can only sum numbers"));
    }
    Ok(())
}

fn tojson(args: &[Value]) -> Result<(), Error> {
    let width = widest(args)?;
    let indentation = vec![b' '; width];
    let counter = Counter(0);
    let value = args.first().cloned().unwrap_or_default();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(&indentation);
    let mut writer = serde_json::Serializer::with_formatter(counter, formatter);
    value.serialize(&mut writer).map_err(|_| refuse("a text becomes too long"))
}

/// Counts bytes, and keeps none.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        if self.0 > TEXT { Err(io::Error::other("too long")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value as a part of a URL; a map as `key=value&…`.
fn urlencode(value: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(minijinja::ErrorKind::UndefinedError.into());
    }
    charge_value(&value)?;
    let is_map = value.kind() == minijinja::value::ValueKind::Map;
    let mut encoded = String::new();
    if is_map {
        for key in value.try_iter()? {
            let entry = value.get_item(&key)?;
            if !encoded.is_empty() {
                encoded.push('&');
            }
            push_encoded(&mut encoded, &key.to_string())?;
            encoded.push('=');
            push_encoded(&mut encoded, &entry.to_string())?;
        }
    } else {
        push_encoded(&mut encoded, &value.to_string())?;
    }
    evaluate(Value::from(encoded))
}

fn push_encoded(encoded: &mut String, text: &str) -> Result<(), Error> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    fits(encoded.len().saturating_add(text.len().saturating_mul(3)))?;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    Ok(())
}
