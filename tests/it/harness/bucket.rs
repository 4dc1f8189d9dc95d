//! A bucket of an S3-compatible store over real HTTP: objects, uploads in parts, and the faults that a test asks for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

pub const ACCESS_KEY: &str = "AKIAEXAMPLE";

/// An upload in parts: its key, and the parts by number.
type Upload = (String, BTreeMap<u32, Bytes>);

#[derive(Default)]
struct Content {
    objects: Mutex<BTreeMap<String, Bytes>>,
    uploads: Mutex<BTreeMap<String, Upload>>,
    /// Objects that were put together from parts.
    assembled: Mutex<Vec<String>>,
    is_away: AtomicBool,
}

/// The store, with one bucket, `runs`.
#[derive(Clone)]
pub struct Bucket {
    address: SocketAddr,
    content: Arc<Content>,
}

impl Bucket {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let content = Arc::new(Content::default());
        let app = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&content));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, content }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn keys(&self) -> Vec<String> {
        self.content.objects.lock().keys().cloned().collect()
    }

    /// The keys of objects that were sent in parts.
    pub fn assembled(&self) -> Vec<String> {
        self.content.assembled.lock().clone()
    }

    /// Changes one byte of an object.
    pub fn damage(&self, key: &str) {
        let mut objects = self.content.objects.lock();
        let object = objects.get_mut(key).expect("an object");
        let mut bytes = object.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        *object = bytes.into();
    }

    /// While it is away, it answers everything with an error.
    pub fn set_away(&self, is_away: bool) {
        self.content.is_away.store(is_away, Ordering::Relaxed);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the request is signed with the key, for this region, and the body is the one that was signed.
fn is_signed(headers: &HeaderMap, body: &Bytes) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = text("authorization");
    credential.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/"))
        && credential.contains("/eu-central-1/s3/aws4_request")
        && text("x-amz-content-sha256") == hex(&Sha256::digest(body))
}

fn xml(text: String) -> Response {
    ([("content-type", "application/xml")], format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}")).into_response()
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &hex(&Sha256::digest(bytes))[..32])
}

async fn answer(
    State(content): State<Arc<Content>>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if content.is_away.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !is_signed(&headers, &body) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(key) = uri.path().strip_prefix("/runs/").map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let query = query.unwrap_or_default();
    let parameter = |name: &str| {
        let entry =
            |pair: &str| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        query.split('&').find_map(entry)
    };
    match (method, parameter("uploadId")) {
        (Method::POST, None) if query.starts_with("uploads") => {
            let id = uuid::Uuid::new_v4().simple().to_string();
            content.uploads.lock().insert(id.clone(), (key.clone(), BTreeMap::new()));
            xml(format!(
                "<InitiateMultipartUploadResult><Bucket>runs</Bucket><Key>{key}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        (Method::PUT, Some(id)) => {
            let number = parameter("partNumber").expect("a number").parse().expect("a number");
            let tag = etag(&body);
            content.uploads.lock().get_mut(&id).expect("an upload").1.insert(number, body);
            [("etag", tag)].into_response()
        }
        (Method::POST, Some(id)) => {
            let (key, parts) = content.uploads.lock().remove(&id).expect("an upload");
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            let tag = etag(&whole);
            content.objects.lock().insert(key.clone(), whole.into());
            content.assembled.lock().push(key.clone());
            xml(format!(
                "<CompleteMultipartUploadResult><Bucket>runs</Bucket><Key>{key}</Key><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
            ))
        }
        (Method::DELETE, Some(id)) => {
            content.uploads.lock().remove(&id);
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::PUT, None) => {
            let tag = etag(&body);
            content.objects.lock().insert(key, body);
            [("etag", tag)].into_response()
        }
        (Method::GET | Method::HEAD, None) => match content.objects.lock().get(&key).cloned() {
            Some(object) => {
                let tag = etag(&object);
                ([("etag", tag), ("last-modified", "Thu, 26 Nov 2026 10:00:00 GMT".to_owned())], object).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        (Method::DELETE, None) => {
            content.objects.lock().remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}
