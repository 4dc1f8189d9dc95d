//! Compiles a text to instructions that charge the budget.
//!
//! The parser and the code generator use up to one stack frame per token, so the tokens are counted first. The
//! instructions are minijinja's, except that those which create or traverse values are replaced by ones that
//! charge for it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use minijinja::machinery::{CodeGenerator, Instruction, Instructions, Token, parse, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;

use super::operators::{ADD, ATTRIBUTE, CONCAT, ITEM, METHOD, MULTIPLY, PAY, SLICE};
use super::{TemplateError, detail};

/// Tokens of one text.
pub(super) const TOKENS: usize = 4_096;
/// Bytes of one text with templates in it.
pub(super) const SOURCE: usize = 512 * 1024;
/// No local slot: a filter is looked up by its name each time.
const ANY: u8 = !0;

/// A variable with the value 1. The generator evaluates constant expressions, however large the result; a
/// product with a variable in it is evaluated, and charged, only when the template is filled.
pub(super) const ONE: &str = "__one";
/// Characters of a line up to which the parser's column numbers are valid.
const COLUMNS: usize = 65_000;

/// A text with templates, whose tokens have been counted.
pub(super) struct Source<'a> {
    text: Cow<'a, str>,
    /// Whether the text is nothing but one expression.
    pub is_expression: bool,
    pub tokens: usize,
}

impl<'a> Source<'a> {
    /// `None` for a text without templates.
    pub(super) fn of(text: &'a str) -> Result<Option<Self>, TemplateError> {
        if !text.contains("{{") && !text.contains("{%") {
            return Ok(None);
        }
        let alone = expression(text);
        let source = alone.unwrap_or(text);
        if source.len() > SOURCE {
            return Err(TemplateError::TooLarge(format!("it is longer than {SOURCE} bytes")));
        }
        let (tokens, products) = guard_columns(source, || scan(source, alone.is_some()))?;
        let text = if products.is_empty() { Cow::Borrowed(source) } else { Cow::Owned(with_ones(source, &products)) };
        Ok(Some(Self { text, is_expression: alone.is_some(), tokens }))
    }
}

/// The number of tokens, and the positions of product operators.
fn scan(source: &str, in_expression: bool) -> Result<(usize, Vec<usize>), TemplateError> {
    let (mut tokens, mut products) = (0, Vec::new());
    for token in tokenize(source, in_expression, SyntaxConfig::default()) {
        let (token, span) = token.map_err(syntax)?;
        tokens += 1;
        if tokens > TOKENS {
            return Err(TemplateError::TooLarge(format!("it has more than {TOKENS} parts")));
        }
        if matches!(token, Token::Mul) {
            products.push(span.start_offset as usize);
        }
    }
    Ok((tokens, products))
}

fn with_ones(source: &str, products: &[usize]) -> String {
    let (mut text, mut from) = (String::with_capacity(source.len() + 6 * products.len()), 0);
    for sign in products {
        text.push_str(source.get(from..=*sign).unwrap_or_default());
        text.push_str(ONE);
        text.push('*');
        from = sign + 1;
    }
    text + source.get(from..).unwrap_or_default()
}

/// The parser's errors count columns, which overflow in very long lines if overflow checks are on.
fn guard_columns<T>(source: &str, read: impl FnOnce() -> Result<T, TemplateError>) -> Result<T, TemplateError> {
    if source.lines().all(|line| line.len() < COLUMNS) && source.lines().count() < COLUMNS {
        return read();
    }
    let broken = |_| Err(TemplateError::Syntax("there is an error in a very long line".to_owned()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(broken)
}

/// A parsed text.
pub(super) struct Program<'a> {
    instructions: Instructions<'a>,
}

impl<'a> Program<'a> {
    pub(super) fn read(source: &'a Source<'_>) -> Result<Self, TemplateError> {
        let text = &*source.text;
        guard_columns(text, || {
            let mut generator = CodeGenerator::new("template", text);
            if source.is_expression {
                generator.compile_expr(&parse_expr(text).map_err(syntax)?);
            } else {
                generator.compile_stmt(&parse(text, "template", SyntaxConfig::default()).map_err(syntax)?);
            }
            Ok(Self { instructions: generator.finish().0 })
        })
    }

    /// The variables of the text: names, with the constant names below them. Variables that the text sets
    /// itself are left out.
    pub(super) fn references(&self) -> BTreeSet<Vec<String>> {
        let own = self.own_names();
        let mut found = self.lookups();
        found.retain(|path| path.first().is_none_or(|root| !own.contains(&root[..])));
        found
    }

    /// As [`Program::references`], but possibly with too many names: a name that the text sets may also be
    /// read where it is not set, which cannot be determined here.
    pub(super) fn all_references(&self) -> BTreeSet<Vec<String>> {
        let own = self.own_names();
        let whole = |path: Vec<String>| match path.first() {
            Some(root) if own.contains(&root[..]) => vec![root.clone()],
            _ => path,
        };
        self.lookups().into_iter().map(whole).collect()
    }

    fn lookups(&self) -> BTreeSet<Vec<String>> {
        let all: Vec<&Instruction<'a>> = all(&self.instructions).collect();
        let lookup = |(at, instruction): (usize, &&Instruction<'a>)| match instruction {
            Instruction::Lookup(name) => Some(path(name, &all[at + 1..])),
            _ => None,
        };
        all.iter().enumerate().filter_map(lookup).collect()
    }

    fn own_names(&self) -> BTreeSet<&str> {
        let stored = all(&self.instructions).filter_map(|instruction| match instruction {
            Instruction::StoreLocal(name) => Some(*name),
            _ => None,
        });
        stored.chain(["loop", ONE]).collect()
    }

    /// The instructions to run.
    pub(super) fn guarded(&self) -> Result<Instructions<'a>, TemplateError> {
        let mut places = Vec::new();
        let mut guarded: Vec<Instruction<'a>> = Vec::new();
        for instruction in all(&self.instructions) {
            places.push(u32::try_from(guarded.len()).unwrap_or(u32::MAX));
            guard(instruction, &mut guarded)?;
        }
        places.push(u32::try_from(guarded.len()).unwrap_or(u32::MAX));
        let mut instructions = Instructions::new(self.instructions.name(), self.instructions.source());
        for mut instruction in guarded {
            if let Instruction::Iterate(target)
            | Instruction::Jump(target)
            | Instruction::JumpIfFalse(target)
            | Instruction::JumpIfFalseOrPop(target)
            | Instruction::JumpIfTrueOrPop(target) = &mut instruction
            {
                *target = places.get(*target as usize).copied().unwrap_or(u32::MAX);
            }
            instructions.add(instruction);
        }
        Ok(instructions)
    }
}

fn all<'i, 'a>(instructions: &'i Instructions<'a>) -> impl Iterator<Item = &'i Instruction<'a>> {
    (0..).map_while(|at| instructions.get(at))
}

fn syntax(error: minijinja::Error) -> TemplateError {
    TemplateError::Syntax(detail(&error))
}

/// The expression of a text that is nothing else.
fn expression(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let is_alone = !["{{", "}}", "{%", "{#"].iter().any(|mark| inside.contains(mark));
    is_alone.then(|| inside.trim_matches('-').trim())
}

fn path(root: &str, mut behind: &[&Instruction<'_>]) -> Vec<String> {
    let mut path = vec![root.to_owned()];
    loop {
        behind = match behind {
            [Instruction::GetAttr(name), rest @ ..] => {
                path.push((*name).to_owned());
                rest
            }
            [Instruction::LoadConst(key), Instruction::GetItem, rest @ ..] if key.as_str().is_some() => {
                path.extend(key.as_str().map(str::to_owned));
                rest
            }
            _ => return path,
        }
    }
}

fn guard<'a>(instruction: &Instruction<'a>, guarded: &mut Vec<Instruction<'a>>) -> Result<(), TemplateError> {
    let filter = |name: &'static str, arguments: u16| Instruction::ApplyFilter(name, Some(arguments), ANY);
    let pay = || filter(PAY, 1);
    let instruction = instruction.clone();
    match instruction {
        Instruction::EmitRaw(text) => {
            let text = Value::from_safe_string(text.to_owned());
            guarded.extend([Instruction::LoadConst(text), Instruction::Emit]);
        }
        Instruction::GetAttr(name) => {
            guarded.extend([Instruction::LoadConst(Value::from(name)), filter(ATTRIBUTE, 2)]);
        }
        Instruction::GetItem => guarded.push(filter(ITEM, 2)),
        Instruction::Slice => guarded.push(filter(SLICE, 4)),
        Instruction::Add => guarded.push(filter(ADD, 2)),
        Instruction::Mul => guarded.push(filter(MULTIPLY, 2)),
        Instruction::StringConcat => guarded.push(filter(CONCAT, 2)),
        // Comparing traverses the values.
        Instruction::Eq
        | Instruction::Ne
        | Instruction::Gt
        | Instruction::Gte
        | Instruction::Lt
        | Instruction::Lte
        | Instruction::In
        | Instruction::CompareAndPreserve(_) => {
            guarded.extend([pay(), Instruction::Swap, pay(), Instruction::Swap, instruction]);
        }
        // Without a number it is the list that a loop with a condition collects.
        Instruction::BuildList(_) | Instruction::BuildTuple(Some(_)) | Instruction::BuildMap(_) => {
            guarded.extend([instruction, pay()]);
        }
        Instruction::SetAttr(_) => guarded.extend([Instruction::Swap, pay(), Instruction::Swap, instruction]),
        Instruction::CallMethod(name, Some(arguments)) => {
            guarded.extend([Instruction::LoadConst(Value::from(name)), filter(METHOD, arguments.saturating_add(1))]);
        }
        Instruction::UnpackLists(_)
        | Instruction::MergeKwargs(_)
        | Instruction::BuildTuple(None)
        | Instruction::CallMethod(_, None) => {
            return Err(TemplateError::Syntax("arguments cannot be unpacked with * or **".to_owned()));
        }
        other => guarded.push(other),
    }
    Ok(())
}
