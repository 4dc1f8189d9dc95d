//! The operators that create values, as filters that charge first. Templates cannot name them: names of
//! filters cannot contain such characters.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::meter::{charge, charge_text, charge_value, collect, evaluate, refuse};

pub(super) const PAY: &str = "=pay";
pub(super) const ATTRIBUTE: &str = "=.";
pub(super) const ITEM: &str = "=[]";
pub(super) const SLICE: &str = "=[:]";
pub(super) const METHOD: &str = "=.()";
pub(super) const CONCAT: &str = "=~";
pub(super) const ADD: &str = "=+";
pub(super) const MULTIPLY: &str = "=*";

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter(PAY, |value: Value| charge_value(&value).map(|()| value));
    environment.add_filter(ATTRIBUTE, |value: Value, name: Value| item(&value, &name));
    environment.add_filter(ITEM, |value: Value, key: Value| item(&value, &key));
    environment.add_filter(SLICE, slice);
    environment.add_filter(METHOD, method);
    environment.add_filter(CONCAT, concat);
    environment.add_filter(ADD, add);
    environment.add_filter(MULTIPLY, multiply);
}

/// A member of something undefined is undefined too, so that `default` works at any depth.
fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(Value::UNDEFINED);
    }
    charge(key.as_str().map_or(0, str::len))?;
    value.get_item(key)
}

fn defined(values: [&Value; 2]) -> Result<(), Error> {
    if values.iter().any(|value| value.is_undefined()) { Err(ErrorKind::UndefinedError.into()) } else { Ok(()) }
}

fn concat(left: Value, right: Value) -> Result<Value, Error> {
    defined([&left, &right])?;
    let (left, right) = (as_text(&left)?, as_text(&right)?);
    charge_text(left.len() + right.len())?;
    Ok(Value::from(left + &right))
}

fn as_text(value: &Value) -> Result<String, Error> {
    charge_value(value)?;
    Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn add(left: Value, right: Value) -> Result<Value, Error> {
    defined([&left, &right])?;
    if let (Some(one), Some(other)) = (left.as_str(), right.as_str()) {
        charge_text(one.len() + other.len())?;
        return Ok(Value::from(one.to_owned() + other));
    }
    if is_list(&left) && is_list(&right) {
        let mut items = collect(&left)?;
        items.extend(collect(&right)?);
        return evaluate(Value::from(items));
    }
    numeric(&left, &right, "+", i128::checked_add, |one, other| one + other)
}

fn multiply(left: Value, right: Value) -> Result<Value, Error> {
    defined([&left, &right])?;
    let repeats = |value: &Value| is_list(value) || value.as_str().is_some();
    let (repeated, times) = match (repeats(&left), repeats(&right)) {
        (true, _) => (&left, &right),
        (false, true) => (&right, &left),
        (false, false) => return numeric(&left, &right, "*", i128::checked_mul, |one, other| one * other),
    };
    let times = times.as_usize().ok_or_else(|| refuse("texts and lists can only be multiplied with whole numbers"))?;
    if let Some(text) = repeated.as_str() {
        charge_text(text.len().saturating_mul(times))?;
        return Ok(Value::from(text.repeat(times)));
    }
    let items = collect(repeated)?;
    charge(items.len().saturating_mul(times).saturating_mul(size_of::<Value>()))?;
    let repeated = (0..times).flat_map(|_| items.iter().cloned());
    evaluate(Value::from(repeated.collect::<Vec<_>>()))
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn numeric(
    left: &Value,
    right: &Value,
    sign: &str,
    whole: fn(i128, i128) -> Option<i128>,
    fraction: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    let problem = |why: String| Error::new(ErrorKind::InvalidOperation, why);
    if !number(left) || !number(right) {
        let (left, right) = (left.kind(), right.kind());
        return Err(problem(format!("tried to use {sign} operator on unsupported types {left} and {right}")));
    }
    if let (Ok(one), Ok(other)) = (i128::try_from(left.clone()), i128::try_from(right.clone()))
        && !is_fraction(left)
        && !is_fraction(right)
    {
        let result = whole(one, other).ok_or_else(|| problem(format!("unable to calculate {one} {sign} {other}")))?;
        return Ok(i64::try_from(result).map_or_else(|_| Value::from(result), Value::from));
    }
    Ok(Value::from(fraction(f64::try_from(left.clone())?, f64::try_from(right.clone())?)))
}

fn is_fraction(value: &Value) -> bool {
    value.is_number() && !value.is_integer()
}

/// `value[start:stop:step]`, as in Python.
fn slice(value: Value, start: Value, stop: Value, step: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    charge_value(&value)?;
    let bound = |bound: &Value| {
        if bound.is_none() { Ok(None) } else { i64::try_from(bound.clone()).map(Some) }
    };
    let (start, stop, step) = (bound(&start)?, bound(&stop)?, bound(&step)?.unwrap_or(1));
    if step == 0 {
        return Err(refuse("cannot slice by step size of 0"));
    }
    if let Some(text) = value.as_str() {
        let letters: Vec<char> = text.chars().collect();
        let chosen: String = places(letters.len(), start, stop, step).map(|at| letters[at]).collect();
        return evaluate(Value::from(chosen));
    }
    if value.is_none() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    if !is_list(&value) {
        return Err(refuse("only texts and lists can be sliced"));
    }
    let items = collect(&value)?;
    evaluate(Value::from(places(items.len(), start, stop, step).map(|at| items[at].clone()).collect::<Vec<_>>()))
}

fn places(len: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> impl Iterator<Item = usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    // Forwards from 0 to len, backwards from len - 1 to -1.
    let (first, last) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |at: i64| if at < 0 { at.saturating_add(len) } else { at }.clamp(first, last);
    let (default_start, default_stop) = if step > 0 { (first, last) } else { (last, first) };
    let start = start.map_or(default_start, place);
    let stop = stop.map_or(default_stop, place);
    let goes_on = move |at: &i64| if step > 0 { *at < stop } else { *at > stop };
    std::iter::successors(Some(start), move |at| at.checked_add(step))
        .take_while(goes_on)
        .filter_map(|at| usize::try_from(at).ok())
}

/// `value.name(…)`; the name comes last.
fn method(state: &mut State, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let [value, args @ .., name] = &args[..] else { return Err(ErrorKind::MissingArgument.into()) };
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    args.iter().try_for_each(charge_value)?;
    evaluate(value.call_method(state, name.as_str().unwrap_or_default(), args)?)
}
