//! Who sees what of the archive; the matrix of roles is in `access::matrix`.

use reqwest::Method;
use serde_json::json;

use super::{ARCHIVE, files};
use crate::access::support::{ROOT, call, get, id_of, key, make, recorded, server_with, token};
use crate::harness::eventually;

#[tokio::test]
async fn an_archived_session_is_shown_to_those_who_could_read_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path").to_owned();
    let server = server_with(|config| config.archive.archive = Some(path)).await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (here, there) = (key(&server, "admin", "default").await, key(&server, "admin", "other").await);
    let viewer = key(&server, "viewer", "default").await;
    let mut ids = Vec::new();
    for (admin, tag) in [(&here, "a"), (&here, "b"), (&there, "a")] {
        let id = id_of(&make(&server, admin, "/api/v1/sessions", json!({"tags": [tag]})).await);
        let cancel = json!({"action": "cancel"});
        assert_eq!(
            call(&server, admin, Method::POST, &format!("/api/v1/sessions/{id}/control"), Some(cancel)).await.0,
            200
        );
        ids.push(id);
    }
    for (admin, number) in [(&here, 2), (&there, 1)] {
        let (status, answer) = call(&server, admin, Method::POST, ARCHIVE, Some(json!({"olderThanDays": 0}))).await;
        assert_eq!((status.as_u16(), &answer["archived"]), (200, &json!(number)), "{answer}");
    }
    let [a, b, foreign] = [&ids[0], &ids[1], &ids[2]];

    // Of another project nothing exists.
    for (method, rest) in
        [(Method::GET, ""), (Method::GET, "/export"), (Method::POST, "/restore"), (Method::DELETE, "")]
    {
        let (status, problem) = call(&server, &here, method, &format!("{ARCHIVE}/{foreign}{rest}"), None).await;
        assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("not_found")), "{rest}: {problem}");
    }
    let (status, problem) = get(&server, &here, &format!("/api/v1/sessions/{foreign}")).await;
    assert_eq!((status.as_u16(), problem.get("archive")), (404, None));
    let create = json!({"id": foreign});
    let (status, problem) = call(&server, &here, Method::POST, "/api/v1/sessions", Some(create)).await;
    assert_eq!(status, 404, "as for the id of a stored session of another project: {problem}");

    // A viewer reads and does not restore; a token reads what its scope names.
    let listed = async |caller: &str| get(&server, caller, ARCHIVE).await.1["sessions"].as_array().map(Vec::len);
    assert_eq!((listed(&viewer).await, listed(&there).await), (Some(2), Some(1)));
    assert_eq!(get(&server, &viewer, &format!("{ARCHIVE}/{a}/export")).await.0, 200);
    assert_eq!(call(&server, &viewer, Method::POST, &format!("{ARCHIVE}/{a}/restore"), None).await.0, 403);
    let tagged = token(&server, &here, &["read:tags:a"]).await;
    assert_eq!(listed(&tagged).await, Some(1));
    assert_eq!(get(&server, &tagged, &format!("{ARCHIVE}/{a}")).await.0, 200);
    assert_eq!(get(&server, &tagged, &format!("{ARCHIVE}/{b}")).await.0, 403);
    assert_eq!(get(&server, &tagged, &format!("{ARCHIVE}/{foreign}")).await.0, 403);
    assert_eq!(get(&server, &tagged, &format!("/api/v1/sessions/{a}")).await.1["archive"], format!("{ARCHIVE}/{a}"));

    assert_eq!(call(&server, &here, Method::POST, &format!("{ARCHIVE}/{a}/restore"), None).await.0, 201);
    assert_eq!(call(&server, &here, Method::DELETE, &format!("{ARCHIVE}/{b}"), None).await.0, 204);
    recorded(&server, &here, &["archive_sessions", "restore_archived", "delete_archived"]).await;

    // The project goes, and its files with it.
    assert_eq!(call(&server, ROOT, Method::DELETE, "/api/v1/projects/other", None).await.0, 204);
    let due = "UPDATE archive_files SET due_at = now()";
    eventually("no file is left", async || {
        sqlx::query(due).execute(server.database.storage().pool()).await.expect("due");
        files(directory.path()).is_empty()
    })
    .await;
}
