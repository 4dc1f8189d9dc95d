//! A `relive` on a pseudo-terminal, and what its screen shows.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use tokio::process::{Child, Command};

use super::{DEADLINE, eventually};

const LINES: NonZero<u16> = NonZero::new(30).expect("more than none");
const COLUMNS: NonZero<u16> = NonZero::new(120).expect("more than none");

pub struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With these variables in its environment.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: LINES.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo-terminal");
        let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
        command.args(arguments).env_remove("RELIVE_SERVER").env_remove("NO_COLOR").env("TERM", "xterm-256color");
        command.envs(environment.iter().copied());
        let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let child = command.stdin(side()).stdout(side()).stderr(side()).kill_on_drop(true).spawn().expect("relive");
        // Only the child holds its side now, so reading ends when it does.
        drop((pty.slave, command));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(LINES, COLUMNS, 0)));
        let (mut output, parser) = (File::from(pty.master.try_clone().expect("a descriptor")), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                parser.lock().expect("the screen").process(&bytes[..read]);
            }
        });
        Self { child, keys: File::from(pty.master), screen }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
    }

    pub fn text(&self) -> String {
        self.screen.lock().expect("the screen").screen().contents()
    }

    /// The first line that holds `text`, once there is one.
    pub async fn line_with(&self, text: &str) -> String {
        let line = || self.text().lines().find(|line| line.contains(text)).map(str::to_owned);
        let waiting = async {
            loop {
                match line() {
                    Some(line) => break line,
                    None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        let found = tokio::time::timeout(DEADLINE, waiting).await;
        found.unwrap_or_else(|_| panic!("no '{text}' on the screen:\n{}", self.text()))
    }

    pub async fn until_gone(&self, text: &str) {
        eventually(&format!("'{text}' leaves the screen"), async || !self.text().contains(text)).await;
    }

    /// Waits for the end. Gives the status, and whether the screen was given back.
    pub async fn end(mut self) -> (Option<i32>, bool) {
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("ends in time").expect("a status");
        let given_back = || !self.screen.lock().expect("the screen").screen().alternate_screen();
        eventually("the last output is read", async || given_back()).await;
        (status.code(), given_back())
    }
}
