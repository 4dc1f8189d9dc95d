//! The members a value may have, by its schema; and the nearest name to a misspelled one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Object, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::ReadError;
use super::tree::Tree;
use crate::lease::LEASE_SECONDS;

/// Levels of a schema that are followed: more than any of ours has.
const LEVELS: usize = 24;
/// Names in older workflow files. They are accepted, but not documented.
const ALIASES: &[(&str, &[&str])] =
    &[("GraphDefinition", &["workflow_uuid", "start_node_id"]), ("GraphNode", &["node_id", "node_type", "next_ids"])];
/// Characters of a client's own names that an error repeats.
const SHOWN: usize = 80;
/// A schema of alternatives, and a member that each of them may have besides its own.
const IN_EACH: (&str, &str) = ("Command", LEASE_SECONDS);
/// The member that distinguishes several objects.
const TAG: &str = "type";
/// Known names that an error lists if none is similar.
const LISTED: usize = 12;

type Members = BTreeMap<String, Shape>;

/// The members that a value may have.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Any.
    Anything,
    /// One of several names.
    Name,
    Items(Box<Shape>),
    /// An object with arbitrary names.
    Map(Box<Shape>),
    Object {
        members: Members,
        /// The value of `type`, if it is one of several objects distinguished by it.
        tag: Option<String>,
    },
    /// Objects distinguished by `type`.
    Tagged(BTreeMap<String, Members>),
    /// An array or an object.
    Either(Vec<Shape>),
}

/// An unknown member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Its path, such as `commands[2].nodId`.
    path: String,
    nearest: Option<String>,
    known: Vec<String>,
}

impl std::error::Error for UnknownField {}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: unknown field", self.path)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None if self.known.is_empty() => Ok(()),
            None => write!(f, "; known are {}", self.known.join(", ")),
        }
    }
}

/// An array or an object where something else belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongKind {
    /// Its path; empty for the whole.
    path: String,
    expected: &'static str,
    found: &'static str,
}

impl std::error::Error for WrongKind {}

impl fmt::Display for WrongKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} is expected here, not {}", self.expected, self.found)
    }
}

impl Shape {
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        let named: HashMap<String, RefOr<Schema>> = schemas.into_iter().collect();
        shape(&T::schema(), &named, LEVELS)
    }

    /// # Errors
    ///
    /// The first unknown member, or the first array or object where something else belongs. At the top, the
    /// members in `also` are known.
    pub fn check(&self, tree: &Tree<'_>, also: &[&str]) -> Result<(), ReadError> {
        self.walk(tree, also, String::new())
    }

    fn walk(&self, tree: &Tree<'_>, also: &[&str], path: String) -> Result<(), ReadError> {
        match (self, tree) {
            (Self::Items(each), Tree::Array(items)) => {
                items.iter().try_for_each(|(index, item)| each.walk(item, &[], format!("{path}[{index}]")))
            }
            (Self::Map(each), Tree::Object(entries)) => {
                entries.iter().try_for_each(|(key, entry)| each.walk(entry, &[], below(&path, key)))
            }
            (Self::Object { members, .. }, Tree::Object(entries)) => walk_members(members, entries, also, &path),
            (Self::Tagged(objects), Tree::Object(entries)) => {
                let tag = entries.iter().find_map(|(key, value)| match value {
                    Tree::Text(tag) if key == TAG => Some(*tag),
                    _ => None,
                });
                match tag.and_then(|tag| objects.get(tag)) {
                    Some(members) => walk_members(members, entries, also, &path),
                    None => misspelled_tag(entries, &path),
                }
            }
            (Self::Object { .. } | Self::Tagged(_) | Self::Map(_), Tree::Array(_)) => {
                Err(WrongKind { path, expected: "an object", found: "an array" }.into())
            }
            (Self::Name, Tree::Array(_)) => Err(WrongKind { path, expected: "a text", found: "an array" }.into()),
            (Self::Name, Tree::Object(_)) => Err(WrongKind { path, expected: "a text", found: "an object" }.into()),
            (Self::Either(shapes), tree) => {
                let is_array = matches!(tree, Tree::Array(_));
                let mut fitting = shapes.iter().filter(|shape| matches!(shape, Self::Items(_)) == is_array);
                match (fitting.next(), fitting.next()) {
                    (Some(one), None) => one.walk(tree, also, path),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

fn walk_members(
    members: &Members,
    entries: &[(Cow<'_, str>, Tree<'_>)],
    also: &[&str],
    path: &str,
) -> Result<(), ReadError> {
    for (key, entry) in entries {
        match members.get(key.as_ref()) {
            // Values without members need no path.
            Some(_) if entry.is_leaf() => {}
            Some(shape) => shape.walk(entry, &[], below(path, key))?,
            None if also.contains(&key.as_ref()) => {}
            None => {
                let mut known = members.keys().map(String::as_str);
                let nearest = nearest(key, known.clone()).map(str::to_owned);
                let known = known.by_ref().take(LISTED).map(str::to_owned).collect();
                return Err(UnknownField { path: below(path, key), nearest, known }.into());
            }
        }
    }
    Ok(())
}

/// Without a tag, or with an unknown one, there is nothing to compare the members with; only the tag itself may be
/// misspelled.
fn misspelled_tag(entries: &[(Cow<'_, str>, Tree<'_>)], path: &str) -> Result<(), ReadError> {
    if entries.iter().any(|(key, _)| key == TAG) {
        return Ok(());
    }
    match entries.iter().find(|(key, _)| nearest(key, std::iter::once(TAG)).is_some()) {
        Some((key, _)) => {
            Err(UnknownField { path: below(path, key), nearest: Some(TAG.to_owned()), known: Vec::new() }.into())
        }
        None => Ok(()),
    }
}

fn below(path: &str, key: &str) -> String {
    let key: String = key.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The known name that was most likely meant: one that differs only in case and underscores, or in a few
/// letters, or that is an extension of the given name.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).take(SHOWN).flat_map(char::to_lowercase).collect()
    };
    let given = plain(name);
    let allowed = (given.chars().count() / 3).clamp(1, 3);
    let distance = |known: &str| {
        let known = plain(known);
        let is_shortened =
            given.len().min(known.len()) >= 3 && (known.starts_with(&given) || given.starts_with(&known));
        let letters = strsim::damerau_levenshtein(&given, &known);
        if is_shortened { letters.min(1) } else { letters }
    };
    known
        .map(|known| (distance(known), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, known)| known)
}

fn shape(schema: &RefOr<Schema>, named: &HashMap<String, RefOr<Schema>>, levels: usize) -> Shape {
    let Some(levels) = levels.checked_sub(1) else { return Shape::Anything };
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
            let referred = named.get(name).map_or(Shape::Anything, |schema| shape(schema, named, levels));
            with_aliases(name, referred)
        }
        RefOr::T(Schema::Array(array)) => match &array.items {
            ArrayItems::RefOrSchema(items) => Shape::Items(Box::new(shape(items, named, levels))),
            ArrayItems::False => Shape::Anything,
        },
        RefOr::T(Schema::Object(object)) => object_shape(object, named, levels),
        RefOr::T(Schema::AllOf(all)) => {
            let (mut members, mut tag) = (Members::new(), None);
            for item in &all.items {
                match shape(item, named, levels) {
                    Shape::Object { members: more, tag: own } => {
                        members.extend(more);
                        tag = tag.or(own);
                    }
                    _ => return Shape::Anything,
                }
            }
            Shape::Object { members, tag }
        }
        RefOr::T(Schema::OneOf(one)) => either(one.items.iter(), named, levels),
        RefOr::T(Schema::AnyOf(any)) => either(any.items.iter(), named, levels),
        RefOr::T(_) => Shape::Anything,
    }
}

fn object_shape(object: &Object, named: &HashMap<String, RefOr<Schema>>, levels: usize) -> Shape {
    if let Some(AdditionalProperties::RefOr(each)) = object.additional_properties.as_deref() {
        return Shape::Map(Box::new(shape(each, named, levels)));
    }
    if object.properties.is_empty() {
        let is_name = object.enum_values.is_some() && object.schema_type == SchemaType::Type(Type::String);
        return if is_name { Shape::Name } else { Shape::Anything };
    }
    let tag = object.properties.get(TAG).and_then(only_value);
    let members = object.properties.iter().map(|(key, schema)| (key.clone(), shape(schema, named, levels)));
    Shape::Object { members: members.collect(), tag }
}

/// The only value that a member can have.
fn only_value(schema: &RefOr<Schema>) -> Option<String> {
    match schema {
        RefOr::T(Schema::Object(object)) => match object.enum_values.as_deref() {
            Some([only]) => only.as_str().map(str::to_owned),
            _ => None,
        },
        _ => None,
    }
}

fn either<'a>(
    schemas: impl Iterator<Item = &'a RefOr<Schema>>,
    named: &HashMap<String, RefOr<Schema>>,
    levels: usize,
) -> Shape {
    let mut shapes: Vec<Shape> =
        schemas.filter(|schema| !is_null(schema)).map(|one| shape(one, named, levels)).collect();
    if shapes.len() == 1 {
        return shapes.remove(0);
    }
    let tagged = |shape: &Shape| match shape {
        Shape::Object { members, tag: Some(tag) } => Some((tag.clone(), members.clone())),
        _ => None,
    };
    match shapes.iter().map(tagged).collect() {
        Some(objects) => Shape::Tagged(objects),
        None => Shape::Either(shapes),
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}

fn with_aliases(name: &str, shape: Shape) -> Shape {
    let aliases = ALIASES.iter().find(|(schema, _)| *schema == name).map(|(_, aliases)| *aliases);
    match (shape, aliases) {
        (Shape::Tagged(mut objects), _) if name == IN_EACH.0 => {
            for members in objects.values_mut() {
                members.insert(IN_EACH.1.to_owned(), Shape::Anything);
            }
            Shape::Tagged(objects)
        }
        (Shape::Object { mut members, tag }, Some(aliases)) => {
            members.extend(aliases.iter().map(|alias| ((*alias).to_owned(), Shape::Anything)));
            Shape::Object { members, tag }
        }
        (shape, _) => shape,
    }
}
