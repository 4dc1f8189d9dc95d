//! `docs/limits.md`: its numbers are those of the constants and settings that it names.

use clap::CommandFactory as _;

use super::markdown::{Document, code_words};
use super::names::sources;

/// A number in the units that both sides are compared in: bytes, seconds, or pieces.
fn quantities(cell: &str) -> Vec<f64> {
    let words: Vec<&str> = cell.split([' ', '(', ')', ';']).filter(|word| !word.is_empty()).collect();
    let number = |word: &str| match word.trim_end_matches([',', '.']) {
        "an" | "a" | "one" => Some(1.0),
        "two" => Some(2.0),
        digits => digits.replace(',', "").parse().ok(),
    };
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let Some(number) = number(word) else { continue };
        let unit = words.get(index + 1).map_or("", |unit| unit.trim_end_matches([',', '.']));
        found.push(number * unit_of(unit));
    }
    found
}

fn unit_of(unit: &str) -> f64 {
    match unit {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "ms" => 0.001,
        "minute" | "minutes" => 60.0,
        "hour" | "hours" => 3_600.0,
        "day" | "days" => 86_400.0,
        _ => 1.0,
    }
}

/// The value of a constant's expression, if it is made of numbers alone.
fn value(expression: &str) -> Option<f64> {
    let units = [("from_secs", 1.0), ("from_millis", 0.001), ("from_mins", 60.0), ("from_hours", 3_600.0)];
    for (function, seconds) in units {
        if let Some(argument) = expression.strip_prefix(&format!("Duration::{function}(")) {
            return Some(value(argument.strip_suffix(')')?)? * seconds);
        }
    }
    if let Some((left, right)) = expression.split_once(" << ") {
        return Some(value(left)? * 2_f64.powf(value(right)?));
    }
    let factors = expression.split(" * ").map(|factor| factor.replace('_', "").parse::<f64>().ok());
    factors.collect::<Option<Vec<f64>>>().map(|factors| factors.iter().product())
}

/// The values that a name such as `ws::PING` has in the sources of that module: of a constant, or of a field
/// among the defaults.
fn values(name: &str, sources: &[(String, String)]) -> Vec<f64> {
    let (module, name) = name.split_once("::").expect("a module and a name");
    let places = [format!("src/{module}/"), format!("src/{module}.rs"), format!("crates/relive-{module}/")];
    let mut found = Vec::new();
    for (_, text) in sources.iter().filter(|(path, _)| places.iter().any(|place| path.starts_with(place))) {
        for line in text.lines().map(str::trim) {
            let constant = line.split_once(&format!("const {name}: ")).and_then(|(_, rest)| rest.split_once(" = "));
            if let Some((kind, expression)) = constant {
                let milliseconds = name.ends_with("_MILLIS") && kind == "i64";
                let scale = if milliseconds { 0.001 } else { 1.0 };
                found.extend(value(expression.trim_end_matches(';')).map(|value| value * scale));
            }
            let field = name.starts_with(|c: char| c.is_ascii_lowercase());
            for part in line.split(['{', '}']).filter(|_| field).flat_map(|part| part.split(", ")) {
                let expression = part.trim().strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
                found.extend(expression.and_then(|expression| value(expression.trim_end_matches([',', ' ']))));
            }
        }
    }
    found
}

fn setting(name: &str) -> Option<f64> {
    let command = relive::cli::Cli::command();
    let mut arguments = relive::cli::arguments(&command).into_iter();
    let argument = arguments.find(|argument| argument.get_env().is_some_and(|variable| variable == name))?;
    argument.get_default_values().first()?.to_str()?.parse().ok()
}

fn is_among(value: f64, quantities: &[f64]) -> bool {
    quantities.iter().any(|quantity| (quantity - value).abs() < 1e-9 * value.abs().max(1.0))
}

#[test]
fn every_limit_has_the_value_of_its_constant() {
    let sources = sources();
    let mut seen = 0;
    for section in Document::read("docs/limits.md").sections() {
        for row in section.rows() {
            let limits = quantities(&row[1]);
            for name in code_words(&row[3]) {
                let found = match name.strip_prefix("RELIVE_") {
                    Some(_) => setting(&name).into_iter().collect(),
                    None => values(&name, &sources),
                };
                assert!(!found.is_empty(), "docs/limits.md: there is no {name}");
                let fits = found.iter().any(|value| is_among(*value, &limits));
                assert!(fits, "docs/limits.md: {name} is {found:?}, not {limits:?}: {}", row[0]);
                seen += 1;
            }
        }
    }
    assert!(seen > 80, "only {seen} limits found");
}

#[test]
fn every_limit_of_a_session_is_listed() {
    let rows = Document::read("docs/limits.md").section("A session").rows();
    let listed: Vec<String> = rows.iter().flat_map(|row| code_words(&row[3])).collect();
    let is_limits = |(path, _): &&(String, String)| path.ends_with("/limits.rs") && path.contains("session");
    let sources = sources();
    let (_, text) = sources.iter().find(is_limits).expect("the limits of a session");
    let mut seen = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = format!("session::{}", line.split(':').next().expect("a name"));
        assert!(listed.contains(&name), "docs/limits.md does not list {name}");
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn quantities_and_expressions_are_read() {
    assert_eq!(quantities("1,024, 16 MiB in memory"), [1024.0, 16.0 * 1024.0 * 1024.0]);
    assert_eq!(quantities("25 s; 10 s"), [25.0, 10.0]);
    assert_eq!(quantities("two days; deleted 1,000 at a time"), [172_800.0, 1000.0, 1.0]);
    assert_eq!(value("Duration::from_millis(5)"), Some(0.005));
    assert_eq!(value("4 << 20"), Some(4_194_304.0));
    assert_eq!(value("16 * 1_024"), Some(16_384.0));
    assert_eq!(value("other::LIMIT"), None);
}
