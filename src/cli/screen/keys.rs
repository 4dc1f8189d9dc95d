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
pub(super) enum Action {
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

pub(super) fn action(key: KeyEvent, place: Place) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Action::Quit);
    }
    match place {
        Place::Typing => typing(key.code),
        Place::Question => Some(if key.code == KeyCode::Char('y') { Action::Yes } else { Action::No }),
        Place::List => list(key.code).or_else(|| moving(key.code)),
        Place::Live => session(key.code).or_else(|| moving(key.code)),
        Place::Relived => relived(key.code).or_else(|| session(key.code)).or_else(|| moving(key.code)),
    }
}

fn typing(key: KeyCode) -> Option<Action> {
    match key {
        KeyCode::Char(character) => Some(Action::Type(character)),
        KeyCode::Backspace => Some(Action::Erase),
        KeyCode::Enter => Some(Action::Open),
        KeyCode::Esc => Some(Action::Back),
        other => moving(other),
    }
}

fn list(key: KeyCode) -> Option<Action> {
    match key {
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Esc => Some(Action::Back),
        KeyCode::Char('/') => Some(Action::Search),
        KeyCode::Enter | KeyCode::Right => Some(Action::Open),
        _ => None,
    }
}

fn session(key: KeyCode) -> Option<Action> {
    match key {
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Esc | KeyCode::Left => Some(Action::Back),
        KeyCode::Enter => Some(Action::Open),
        KeyCode::Tab => Some(Action::OtherPane),
        KeyCode::Char('m') => Some(Action::OnlySelected),
        KeyCode::Char('s') => Some(Action::Start),
        KeyCode::Char('p') => Some(Action::PauseOrResume),
        KeyCode::Char('x') => Some(Action::Stop),
        KeyCode::Char('c') => Some(Action::Cancel),
        KeyCode::Char('r') => Some(Action::Relive),
        _ => None,
    }
}

fn relived(key: KeyCode) -> Option<Action> {
    match key {
        KeyCode::Char(' ') => Some(Action::PlayOrPause),
        KeyCode::Right => Some(Action::Step { forward: true }),
        KeyCode::Left => Some(Action::Step { forward: false }),
        KeyCode::Char(']') => Some(Action::Leap { forward: true }),
        KeyCode::Char('[') => Some(Action::Leap { forward: false }),
        KeyCode::Home => Some(Action::First),
        KeyCode::End => Some(Action::Last),
        KeyCode::Char('+' | '=') => Some(Action::Speed { faster: true }),
        KeyCode::Char('-') => Some(Action::Speed { faster: false }),
        KeyCode::Char('l' | 'r') | KeyCode::Esc => Some(Action::Live),
        _ => None,
    }
}

fn moving(key: KeyCode) -> Option<Action> {
    match key {
        KeyCode::Down | KeyCode::Char('j') => Some(Action::Move(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Action::Move(-1)),
        KeyCode::PageDown => Some(Action::Move(PAGE)),
        KeyCode::PageUp => Some(Action::Move(-PAGE)),
        KeyCode::End => Some(Action::Move(ALL)),
        KeyCode::Home => Some(Action::Move(-ALL)),
        _ => None,
    }
}
