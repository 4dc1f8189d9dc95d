//! Starting points: the files in `tests/fuzz/corpus/<target>`, and inputs that led to something new.

use std::path::{Path, PathBuf};

use crate::random::Random;

/// Inputs beyond the files that are kept as starting points within one block of cases.
const KEPT: usize = 128;
/// Longer ones are not kept: what is long takes long.
const KEPT_BYTES: usize = 64 * 1024;

pub struct Corpus {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Corpus {
    pub fn of(target: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
        let mut files: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .map(|path| (path.clone(), std::fs::read(&path).expect("a file")))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{}: no files", folder.display());
        Self { files }
    }

    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
    }

    pub fn pool(&self) -> Pool<'_> {
        Pool { files: self, found: Vec::new() }
    }
}

/// What mutations of one block begin with.
pub struct Pool<'a> {
    files: &'a Corpus,
    found: Vec<Vec<u8>>,
}

impl Pool<'_> {
    pub fn pick(&self, random: &mut Random) -> &[u8] {
        if !self.found.is_empty() && random.one_in(2) {
            return &self.found[random.below(self.found.len())];
        }
        &self.files.files[random.below(self.files.files.len())].1
    }

    pub fn keep(&mut self, input: &[u8], random: &mut Random) {
        if input.len() > KEPT_BYTES {
            return;
        }
        if self.found.len() < KEPT {
            self.found.push(input.to_vec());
        } else {
            let at = random.below(KEPT);
            self.found[at] = input.to_vec();
        }
    }
}
