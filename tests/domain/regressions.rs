//! Cases that once failed are kept in files, which proptest finds by the path of the test's source. A file
//! that stays behind when its source moves, or whose test turns this off, is never read.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::test_runner::{FailurePersistence, FileFailurePersistence};

/// How many cases the text of such a file holds.
pub fn kept_cases(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("cc ")).count()
}

struct Kept {
    file: PathBuf,
    source: PathBuf,
    persistence: FileFailurePersistence,
}

impl Kept {
    /// `….proptest-regressions` beside its source, or `proptest-regressions/….txt` for `src/….rs`.
    fn at(file: &Path) -> Option<Self> {
        let (source, persistence) = match file.extension()?.to_str()? {
            "proptest-regressions" => {
                (file.with_extension("rs"), FileFailurePersistence::WithSource("proptest-regressions"))
            }
            "txt" => {
                let root = file.ancestors().find(|ancestor| ancestor.ends_with("proptest-regressions"))?;
                let inside = file.strip_prefix(root).ok()?.with_extension("rs");
                (root.parent()?.join("src").join(inside), FileFailurePersistence::default())
            }
            _ => return None,
        };
        Some(Self { file: file.to_owned(), source, persistence })
    }

    fn check(&self) -> Result<(), &'static str> {
        let source = fs::read_to_string(&self.source).map_err(|_| "has no source")?;
        if !source.contains("proptest! {") || source.contains("failure_persistence: None") {
            return Err("belongs to a source that does not read it");
        }
        let expected = kept_cases(&fs::read_to_string(&self.file).map_err(|_| "cannot be read")?);
        // Proptest takes paths that live as long as the program.
        let source: &'static str = Box::leak(self.source.to_str().ok_or("has an odd name")?.into());
        match self.persistence.load_persisted_failures2(Some(source)).len() {
            0 => Err("is not found, or holds no case"),
            found if found < expected => Err("holds a case that cannot be read"),
            _ => Ok(()),
        }
    }
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_foreign = name.to_string_lossy().starts_with('.') || name == "target" || name == "node_modules";
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && !is_foreign => files_below(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

#[test]
fn every_kept_case_is_found_by_its_test() {
    let mut files = Vec::new();
    files_below(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    let kept: Vec<_> = files.iter().filter_map(|file| Kept::at(file)).collect();
    assert!(!kept.is_empty());
    let wrong: Vec<_> = kept
        .iter()
        .filter_map(|kept| kept.check().err().map(|fault| format!("{} {fault}", kept.file.display())))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}
