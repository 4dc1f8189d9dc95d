use super::*;

#[test]
fn a_path_to_return_to_is_of_this_server() {
    for path in ["/", "/sessions/1", "/sessions?status=running#x", "/a/b?next=//evil.example", "/%2F%2Fevil.example"] {
        assert_eq!(return_path(path), path);
    }
    let long = format!("/{}", "a".repeat(1_024));
    for path in [
        "",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "/ä",
        "/a b",
        &long,
    ] {
        assert_eq!(return_path(path), "/", "{path:?}");
    }
}

#[test]
fn secrets_go_to_safe_addresses_alone() {
    for (address, expected) in [
        ("https://id.example", true),
        ("http://127.0.0.1:3000", true),
        ("http://[::1]:3000/x", true),
        ("http://localhost:3000", true),
        ("http://id.example", false),
        ("http://localhost.evil.example", false),
        ("http://127.0.0.1.nip.io", false),
        ("http://10.0.0.1", false),
        ("ftp://id.example", false),
        ("file:///etc/passwd", false),
    ] {
        assert_eq!(fetch::is_safe(&Url::parse(address).expect(address)), expected, "{address}");
    }
}

#[test]
fn forms_are_encoded() {
    assert_eq!(
        fetch::encoded(&[("a", "x y"), ("b", "ä&=+%"), ("c", "-._~0Az")]),
        "a=x%20y&b=%C3%A4%26%3D%2B%25&c=-._~0Az"
    );
}
