//! The file of a backup: a tar archive with the dump and the manifest.

use std::fmt::Write as _;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, Take};

use super::{BackupError, DUMP, FORMAT, MANIFEST, Manifest};

/// The unit of a tar archive, of which a header is one.
const BLOCK: u64 = 512;
const EMPTY_BLOCK: [u8; 512] = [0; 512];
/// A longer manifest is not read.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// A dump as it was written.
#[derive(Debug)]
pub(super) struct Written {
    pub bytes: u64,
    pub sha256: String,
}

/// Writes a backup under another name, which it loses only when it is whole.
pub(super) struct BackupWriter {
    path: PathBuf,
    temporary: TempPath,
    file: File,
    bytes: u64,
    hash: Sha256,
}

impl BackupWriter {
    pub async fn create(path: &Path) -> Result<Self, BackupError> {
        let wrong = |error| BackupError::File { action: "write", path: path.to_owned(), error };
        // Only its owner may read it: there are keys in it.
        let made = tempfile::Builder::new().prefix(".relive-backup-").tempfile_in(directory(path)).map_err(wrong)?;
        let (file, temporary) = made.into_parts();
        let mut file = File::from_std(file);
        // The size is written into the header at the end.
        file.write_all(&EMPTY_BLOCK).await.map_err(wrong)?;
        Ok(Self { path: path.to_owned(), temporary, file, bytes: 0, hash: Sha256::new() })
    }

    fn wrong(&self) -> impl Fn(std::io::Error) -> BackupError + use<> {
        let path = self.path.clone();
        move |error| BackupError::File { action: "write", path: path.clone(), error }
    }

    pub async fn write(&mut self, piece: &[u8]) -> Result<(), BackupError> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        let wrong = self.wrong();
        self.file.write_all(piece).await.map_err(wrong)
    }

    /// Ends the dump.
    pub fn end_dump(&mut self) -> Written {
        Written { bytes: self.bytes, sha256: hex(&self.hash.finalize_reset()) }
    }

    /// Adds the manifest, and gives the file its name.
    pub async fn finish(mut self, manifest: &Manifest) -> Result<(), BackupError> {
        let wrong = self.wrong();
        self.complete(manifest).await.map_err(&wrong)?;
        let Self { path, temporary, .. } = self;
        temporary.persist(&path).map_err(|error| wrong(error.error))?;
        // The name is on the disk as well.
        let synced = async { File::open(directory(&path)).await?.sync_all().await };
        synced.await.map_err(wrong)
    }

    async fn complete(&mut self, manifest: &Manifest) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(manifest)?;
        self.file.write_all(&padding(self.bytes)).await?;
        self.file.write_all(&header(MANIFEST, text.len() as u64)?).await?;
        self.file.write_all(&text).await?;
        self.file.write_all(&padding(text.len() as u64)).await?;
        self.file.write_all(&EMPTY_BLOCK).await?;
        self.file.write_all(&EMPTY_BLOCK).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.file.write_all(&header(DUMP, self.bytes)?).await?;
        self.file.flush().await?;
        self.file.sync_all().await
    }
}

fn directory(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn header(name: &str, size: u64) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(chrono::Utc::now().timestamp()).unwrap_or_default());
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or_default()]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A backup whose manifest was read. Whether the dump is whole is not known yet.
pub(super) struct OpenBackup {
    path: PathBuf,
    pub manifest: Manifest,
}

impl OpenBackup {
    pub async fn open(path: &Path) -> Result<Self, BackupError> {
        let wrong = |error| BackupError::File { action: "read", path: path.to_owned(), error };
        let not = |why: &str| BackupError::NotABackup { path: path.to_owned(), why: why.to_owned() };
        let mut file = File::open(path).await.map_err(wrong)?;
        let length = file.metadata().await.map_err(wrong)?.len();
        let (name, size) = member(&mut file).await.map_err(wrong)?.ok_or_else(|| not("it is not a tar archive"))?;
        if name != DUMP {
            return Err(not(&format!("it does not begin with {DUMP}")));
        }
        let place = size.checked_next_multiple_of(BLOCK).and_then(|size| size.checked_add(BLOCK));
        let place = place.filter(|place| *place <= length);
        let damaged = |why: &str| BackupError::Damaged { path: path.to_owned(), why: why.to_owned() };
        let place = place.ok_or_else(|| damaged("it ends within the dump"))?;
        file.seek(SeekFrom::Start(place)).await.map_err(wrong)?;
        let found = member(&mut file).await.map_err(|_| damaged("it ends before the manifest"))?;
        let (_, length) =
            found.filter(|(name, _)| name == MANIFEST).ok_or_else(|| damaged("it ends before the manifest"))?;
        let mut text = Vec::new();
        (&mut file).take(length.min(LONGEST_MANIFEST)).read_to_end(&mut text).await.map_err(wrong)?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(&format!("its manifest: {error}")))?;
        if manifest.format != FORMAT {
            return Err(not(&format!("it has the form {}, and this relive knows {FORMAT}", manifest.format)));
        }
        if manifest.dump_bytes != size {
            return Err(damaged("the dump does not have the length that the manifest says"));
        }
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// The dump.
    pub async fn dump(&self) -> Result<Take<File>, BackupError> {
        let wrong = |error| BackupError::File { action: "read", path: self.path.clone(), error };
        let mut file = File::open(&self.path).await.map_err(wrong)?;
        file.seek(SeekFrom::Start(BLOCK)).await.map_err(wrong)?;
        Ok(file.take(self.manifest.dump_bytes))
    }

    /// Reads the dump to its end and compares its checksum.
    pub async fn check(&self) -> Result<(), BackupError> {
        let wrong = |error| BackupError::File { action: "read", path: self.path.clone(), error };
        let mut dump = self.dump().await?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
        loop {
            match dump.read(&mut buffer).await.map_err(wrong)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        if hex(&hash.finalize()) == self.manifest.dump_sha256 {
            return Ok(());
        }
        let why = "the dump does not have the checksum that the manifest says".to_owned();
        Err(BackupError::Damaged { path: self.path.clone(), why })
    }
}

/// The name and the size of the member that begins here; `None` if none does.
async fn member(file: &mut File) -> std::io::Result<Option<(String, u64)>> {
    let mut header = tar::Header::new_old();
    let read = file.read_exact(header.as_mut_bytes()).await;
    if read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof) {
        return Ok(None);
    }
    read?;
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            // The checksum counts itself as spaces.
            u32::from(if (148..156).contains(&at) { b' ' } else { *byte })
        })
        .sum();
    if header.cksum().ok() != Some(sum) {
        return Ok(None);
    }
    let name = header.path()?.to_string_lossy().into_owned();
    Ok(Some((name, header.size()?)))
}
