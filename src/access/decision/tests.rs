use super::*;

/// Who may do it, of viewer, reviewer, operator, engine, admin and root. Written by hand after the contract.
const TABLE: [(Action, &str); 29] = [
    (Action::ReadSessions, "vroeat"),
    (Action::ListSessions, "vroeat"),
    (Action::Export, "vroeat"),
    (Action::ReadCatalog, "vroeat"),
    (Action::SearchMemories, "vroeat"),
    (Action::ReadProject, "vroeat"),
    (Action::IssueTokens, "vroeat"),
    (Action::Review, "roeat"),
    (Action::Signal, "roeat"),
    (Action::Control, "oeat"),
    (Action::Fork, "oat"),
    (Action::Label, "oeat"),
    (Action::Tag, "oeat"),
    (Action::CreateFromWorkflow, "oeat"),
    (Action::CreateSession, "eat"),
    (Action::Command, "eat"),
    (Action::Chunks, "eat"),
    (Action::WriteMemory, "eat"),
    (Action::DeleteSession, "at"),
    (Action::Import, "at"),
    (Action::WriteCatalog, "at"),
    (Action::ManageKeys, "at"),
    (Action::ManageWebhooks, "at"),
    (Action::ManageSchedules, "at"),
    (Action::ManageAlerts, "at"),
    (Action::ManageRetention, "at"),
    (Action::ReadAudit, "at"),
    (Action::ManageProjects, "t"),
    (Action::ReadMetrics, "t"),
];

fn letter(role: Role) -> char {
    match role {
        Role::Viewer => 'v',
        Role::Reviewer => 'r',
        Role::Operator => 'o',
        Role::Engine => 'e',
        Role::Admin => 'a',
        Role::Root => 't',
    }
}

fn id(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(n))
}

fn token(scopes: &[Scope]) -> Grant {
    Grant::Scopes(Scopes::new(scopes.to_vec()).expect("scopes"))
}

#[test]
fn each_role_may_do_what_the_contract_says() {
    let mut listed: Vec<Action> = TABLE.iter().map(|(action, _)| *action).collect();
    listed.sort_by_key(|action| Action::ALL.iter().position(|other| other == action));
    assert_eq!(listed, Action::ALL);
    let subject = Subject::of(id(1));
    for (action, who) in TABLE {
        for role in Role::ALL {
            for subject in [None, Some(&subject)] {
                let outcome = allows(&Grant::Role(role), action, subject);
                assert_eq!(outcome.is_ok(), who.contains(letter(role)), "{role} {action:?}: {outcome:?}");
            }
        }
        assert_eq!(allows(&Grant::Anonymous, action, Some(&subject)), Ok(()));
    }
}

#[test]
fn what_is_missing_is_named() {
    for (role, action, says) in [
        (Role::Viewer, Action::Signal, "this needs the role reviewer"),
        (Role::Reviewer, Action::Control, "this needs the role operator"),
        (Role::Operator, Action::Command, "this needs the role engine"),
        (Role::Engine, Action::Fork, "this needs the role operator"),
        (Role::Engine, Action::DeleteSession, "this needs the role admin"),
        (Role::Admin, Action::ManageProjects, "this needs the role root"),
    ] {
        assert_eq!(allows(&Grant::Role(role), action, None).expect_err(says).to_string(), says);
    }
    let reads = token(&[Scope::ReadSession(id(1))]);
    let other = allows(&reads, Action::ReadSessions, Some(&Subject::of(id(2)))).expect_err("another session");
    assert_eq!(other.to_string(), format!("this needs the scope read:sessions:{}", id(2)));
    assert_eq!(allows(&reads, Action::ReadSessions, None), Err(Denied::Scope(Scope::ReadSessions)));
    assert_eq!(allows(&reads, Action::Import, None), Err(Denied::Role(Role::Admin)));
    let writes = token(&[Scope::Write(id(1))]);
    assert_eq!(allows(&writes, Action::ListSessions, None), Err(Denied::AnyRead));
}

/// Each kind of scope of session 1, and all that it grants there.
#[test]
fn a_scope_grants_what_its_name_says_and_nothing_else() {
    let group = Uuid::from_u128(7);
    let tags = ["nightly".to_owned()];
    let subject = Subject { id: id(1), group_id: Some(group), tags: &tags };
    let reads = &[Action::ReadSessions, Action::Export, Action::ListSessions][..];
    let cases: [(Scope, &[Action]); 7] = [
        (Scope::ReadSessions, reads),
        (Scope::ReadSession(id(1)), reads),
        (Scope::ReadTag("nightly".into()), reads),
        (Scope::ReadGroup(group), reads),
        (Scope::Review(id(1)), &[Action::Review, Action::Signal]),
        (Scope::Control(id(1)), &[Action::Control]),
        (
            Scope::Write(id(1)),
            &[Action::Review, Action::Signal, Action::Control, Action::Label, Action::Command, Action::Chunks],
        ),
    ];
    for (scope, granted) in cases {
        let grant = token(std::slice::from_ref(&scope));
        for action in Action::ALL {
            let outcome = allows(&grant, action, Some(&subject));
            assert_eq!(outcome.is_ok(), granted.contains(&action), "{scope} {action:?}: {outcome:?}");
        }
        // Of another session without tags and group nothing, and of none just what concerns all of them.
        for action in Action::ALL {
            let of_all = scope == Scope::ReadSessions && matches!(action, Action::ReadSessions | Action::Export);
            let lists = action == Action::ListSessions && scope.is_read();
            let outcome = allows(&grant, action, Some(&Subject::of(id(2))));
            assert_eq!(outcome.is_ok(), of_all || lists, "{scope} {action:?}: {outcome:?}");
            let of_all = scope == Scope::ReadSessions && action == Action::ReadSessions;
            let outcome = allows(&grant, action, None);
            assert_eq!(outcome.is_ok(), of_all || lists, "{scope} {action:?}: {outcome:?}");
        }
    }
}

#[test]
fn scopes_by_tag_and_group_follow_the_session() {
    let grant = token(&[Scope::ReadTag("nightly".into()), Scope::ReadGroup(Uuid::from_u128(7))]);
    let is_read = |group_id, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        allows(&grant, Action::ReadSessions, Some(&Subject { id: id(1), group_id, tags: &tags })).is_ok()
    };
    assert!(is_read(None, &["other", "nightly"]));
    assert!(is_read(Some(Uuid::from_u128(7)), &[]));
    for tags in [&[][..], &["other"], &["Nightly"], &["nightly "], &["night"]] {
        assert!(!is_read(None, tags), "{tags:?}");
        assert!(!is_read(Some(Uuid::from_u128(8)), tags), "{tags:?}");
    }
}

#[test]
fn who_writes_changes_tags_only_of_what_they_read_anyway() {
    let subject = Subject::of(id(1));
    let write = Scope::Write(id(1));
    let denied = |scopes: &[Scope]| allows(&token(scopes), Action::Tag, Some(&subject)).err();
    let by_tag = Scope::ReadTag("public".into());
    for reads in [by_tag, Scope::ReadSession(id(2)), Scope::ReadGroup(Uuid::from_u128(7))] {
        assert_eq!(denied(&[write.clone(), reads]), Some(Denied::Scope(Scope::ReadSession(id(1)))));
    }
    assert_eq!(denied(&[Scope::ReadSessions]), Some(Denied::Scope(write.clone())));
    for reads in [Scope::ReadSessions, Scope::ReadSession(id(1))] {
        assert_eq!(denied(&[write.clone(), reads]), None);
    }
}

#[test]
fn lists_show_what_the_scopes_name() {
    let some =
        Visibility::Some { sessions: vec![id(1)], groups: vec![Uuid::from_u128(7)], tags: vec!["nightly".to_owned()] };
    let narrow = [
        Scope::ReadSession(id(1)),
        Scope::ReadGroup(Uuid::from_u128(7)),
        Scope::ReadTag("nightly".into()),
        Scope::Write(id(2)),
    ];
    assert_eq!(visibility(&token(&narrow)), some);
    assert_eq!(visibility(&token(&[narrow[0].clone(), Scope::ReadSessions])), Visibility::All);
    assert_eq!(visibility(&Grant::Role(Role::Viewer)), Visibility::All);
    let nothing = Visibility::Some { sessions: Vec::new(), groups: Vec::new(), tags: Vec::new() };
    assert_eq!(visibility(&token(&[Scope::Write(id(1))])), nothing);
}

#[test]
fn nobody_gives_more_than_they_have() {
    let reads = [
        Scope::ReadSessions,
        Scope::ReadSession(id(1)),
        Scope::ReadTag("x".into()),
        Scope::ReadGroup(Uuid::from_u128(7)),
    ];
    for (scope, who) in [(Scope::Review(id(1)), "roeat"), (Scope::Control(id(1)), "oeat"), (Scope::Write(id(1)), "eat")]
    {
        for role in Role::ALL {
            let mut scopes = reads.to_vec();
            let give = |scopes: &[Scope]| may_issue(&Grant::Role(role), &Scopes::new(scopes.to_vec()).expect("scopes"));
            assert_eq!(give(&scopes), Ok(()), "{role}");
            scopes.push(scope.clone());
            let outcome = give(&scopes);
            assert_eq!(outcome.is_ok(), who.contains(letter(role)), "{role} {scope}: {outcome:?}");
        }
        let scopes = Scopes::new(vec![scope.clone()]).expect("scopes");
        assert!(may_issue(&Grant::Scopes(scopes.clone()), &scopes).is_err(), "a token gives none");
        assert_eq!(may_issue(&Grant::Anonymous, &scopes), Ok(()));
    }
}

#[test]
fn commands_need_what_they_do() {
    let json = serde_json::json!(null);
    for (command, action) in [
        (Command::Start, Action::Control),
        (Command::Pause, Action::Control),
        (Command::Resume, Action::Control),
        (Command::Stop { reason: None }, Action::Control),
        (Command::Cancel { reason: None }, Action::Control),
        (Command::signal("a", json.clone()), Action::Signal),
        (Command::Complete { outputs: None }, Action::Command),
        (Command::Fail { error: String::new() }, Action::Command),
        (Command::set_context("k", json.clone()), Action::Command),
        (Command::SetProposal { proposal: json }, Action::Command),
        (Command::SetLabels(relive_session::LabelFields::default()), Action::Label),
        (Command::SetLabels(relive_session::LabelFields { tags: Some(Vec::new()), ..Default::default() }), Action::Tag),
        (Command::Hold, Action::Command),
    ] {
        assert_eq!(command_action(&command), action, "{}", command.kind());
    }
}
