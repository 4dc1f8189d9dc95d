//! Bodies of other protocols: members that are not read are ignored, and what other programs write in place of an
//! absent member is allowed.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::{FromRequest, Request};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use super::extract::read;

/// A JSON body of another protocol, which is an object.
pub struct Foreign<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Foreign<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (Members(body), _) = read(request, state, |text| Ok(serde_json::from_str(text)?)).await?;
        Ok(Self(body))
    }
}

/// An object. Otherwise an array of its members' values, in their order, would be read as one.
struct Members<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MembersVisitor(PhantomData)).map(Self)
    }
}

struct MembersVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(A::Error::custom("an object is expected here, not an array"))
    }
}

/// An array of objects; empty if it is null.
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let read: Vec<Members<T>> = or_default(deserializer)?;
    Ok(read.into_iter().map(|Members(one)| one).collect())
}

/// A value that may be null, as absent members are written by many serialisers.
pub fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
