//! The actions of keys. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    List,
    Typing,
    Live,
    Relived,
    /// A question that is answered by yes or no.
    Question,
}

/// An action of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyAction {
    Quit,
    Back,
    Move(isize),
    Open,
    Search,
    Type(char),
    Erase,
    OtherPane,
    OnlySelected,
    Start,
    PauseOrResume,
    Stop,
    Cancel,
    Approve,
    Reject,
    Yes,
    No,
    Relive,
    Live,
    PlayOrPause,
    Step { forward: bool },
    Leap { forward: bool },
    First,
    Last,
    Speed { faster: bool },
}

/// Rows per page up or down.
const PAGE: isize = 15;
const ALL: isize = 1_000_000;

pub(super) fn action(key: KeyEvent, place: Place) -> Option<KeyAction> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(KeyAction::Quit);
    }
    match place {
        Place::Typing => typing(key.code),
        Place::Question => Some(if key.code == KeyCode::Char('y') { KeyAction::Yes } else { KeyAction::No }),
        Place::List => list(key.code).or_else(|| moving(key.code)),
        Place::Live => session(key.code).or_else(|| moving(key.code)),
        Place::Relived => relived(key.code).or_else(|| session(key.code)).or_else(|| moving(key.code)),
    }
}

fn typing(key: KeyCode) -> Option<KeyAction> {
    match key {
        KeyCode::Char(character) => Some(KeyAction::Type(character)),
        KeyCode::Backspace => Some(KeyAction::Erase),
        KeyCode::Enter => Some(KeyAction::Open),
        KeyCode::Esc => Some(KeyAction::Back),
        other => moving(other),
    }
}

fn list(key: KeyCode) -> Option<KeyAction> {
    match key {
        KeyCode::Char('q') => Some(KeyAction::Quit),
        KeyCode::Esc => Some(KeyAction::Back),
        KeyCode::Char('/') => Some(KeyAction::Search),
        KeyCode::Enter | KeyCode::Right => Some(KeyAction::Open),
        _ => None,
    }
}

fn session(key: KeyCode) -> Option<KeyAction> {
    match key {
        KeyCode::Char('q') => Some(KeyAction::Quit),
        KeyCode::Esc | KeyCode::Left => Some(KeyAction::Back),
        KeyCode::Enter => Some(KeyAction::Open),
        KeyCode::Tab => Some(KeyAction::OtherPane),
        KeyCode::Char('m') => Some(KeyAction::OnlySelected),
        KeyCode::Char('s') => Some(KeyAction::Start),
        KeyCode::Char('p') => Some(KeyAction::PauseOrResume),
        KeyCode::Char('x') => Some(KeyAction::Stop),
        KeyCode::Char('c') => Some(KeyAction::Cancel),
        KeyCode::Char('a') => Some(KeyAction::Approve),
        KeyCode::Char('d') => Some(KeyAction::Reject),
        KeyCode::Char('r') => Some(KeyAction::Relive),
        _ => None,
    }
}

fn relived(key: KeyCode) -> Option<KeyAction> {
    match key {
        KeyCode::Char(' ') => Some(KeyAction::PlayOrPause),
        KeyCode::Right => Some(KeyAction::Step { forward: true }),
        KeyCode::Left => Some(KeyAction::Step { forward: false }),
        KeyCode::Char(']') => Some(KeyAction::Leap { forward: true }),
        KeyCode::Char('[') => Some(KeyAction::Leap { forward: false }),
        KeyCode::Home => Some(KeyAction::First),
        KeyCode::End => Some(KeyAction::Last),
        KeyCode::Char('+' | '=') => Some(KeyAction::Speed { faster: true }),
        KeyCode::Char('-') => Some(KeyAction::Speed { faster: false }),
        KeyCode::Char('l' | 'r') | KeyCode::Esc => Some(KeyAction::Live),
        _ => None,
    }
}

fn moving(key: KeyCode) -> Option<KeyAction> {
    match key {
        KeyCode::Down | KeyCode::Char('j') => Some(KeyAction::Move(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(KeyAction::Move(-1)),
        KeyCode::PageDown => Some(KeyAction::Move(PAGE)),
        KeyCode::PageUp => Some(KeyAction::Move(-PAGE)),
        KeyCode::End => Some(KeyAction::Move(ALL)),
        KeyCode::Home => Some(KeyAction::Move(-ALL)),
        _ => None,
    }
}
