//! In place of `src/sync.rs`: at each of these the scheduler chooses who goes on.
//!
//! Locks are the scheduler's own. Channels and cells are those of Tokio: inside they are one step, and there
//! is a turn before each. Nothing may be held of them where others may have their turn, or nobody could go on;
//! guards of the map are held so, and therefore it is one behind a lock.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};

use shuttle::rand::Rng as _;
use shuttle::sync::MutexGuard;

pub(crate) use map::{DashMap, Entry};
pub(crate) use shuttle::future::spawn;

pub(crate) mod atomic {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
}

/// A turn.
pub(crate) fn turn() {
    shuttle::sync::atomic::AtomicBool::new(false).load(atomic::Ordering::SeqCst);
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no panic")
    }
}

pub(crate) mod watch {
    use tokio::sync::watch;

    use super::turn;

    #[derive(Debug, Default)]
    pub(crate) struct Sender<T>(watch::Sender<T>);

    impl<T> Sender<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(watch::Sender::new(value))
        }

        pub(crate) fn borrow(&self) -> watch::Ref<'_, T> {
            turn();
            self.0.borrow()
        }

        pub(crate) fn subscribe(&self) -> Receiver<T> {
            turn();
            Receiver(self.0.subscribe())
        }

        pub(crate) fn receiver_count(&self) -> usize {
            turn();
            self.0.receiver_count()
        }

        pub(crate) fn send_replace(&self, value: T) -> T {
            turn();
            self.0.send_replace(value)
        }

        pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
            turn();
            self.0.send_modify(modify);
        }

        pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
            turn();
            self.0.send_if_modified(modify)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Receiver<T>(watch::Receiver<T>);

    impl<T> Receiver<T> {
        pub(crate) fn borrow_and_update(&mut self) -> watch::Ref<'_, T> {
            turn();
            self.0.borrow_and_update()
        }

        pub(crate) async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
            turn();
            self.0.changed().await
        }

        pub(crate) async fn wait_for(
            &mut self,
            condition: impl FnMut(&T) -> bool,
        ) -> Result<watch::Ref<'_, T>, watch::error::RecvError> {
            turn();
            self.0.wait_for(condition).await
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Notify(tokio::sync::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        turn();
        self.0.notify_one();
    }

    pub(crate) async fn notified(&self) {
        turn();
        self.0.notified().await;
    }
}

#[derive(Debug)]
pub(crate) struct OnceCell<T>(tokio::sync::OnceCell<T>);

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self(tokio::sync::OnceCell::new())
    }
}

impl<T> OnceCell<T> {
    pub(crate) fn new_with(value: Option<T>) -> Self {
        Self(tokio::sync::OnceCell::new_with(value))
    }

    pub(crate) fn get(&self) -> Option<&T> {
        turn();
        self.0.get()
    }

    pub(crate) async fn get_or_init<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> &T {
        turn();
        self.0.get_or_init(make).await
    }
}

mod map {
    use super::*;

    type Guard<'a, K, V> = MutexGuard<'a, BTreeMap<K, V>>;

    #[derive(Debug)]
    pub(crate) struct DashMap<K, V>(Mutex<BTreeMap<K, V>>);

    impl<K: Ord, V> Default for DashMap<K, V> {
        fn default() -> Self {
            Self(Mutex::new(BTreeMap::new()))
        }
    }

    /// An entry that is there, with the map locked.
    pub(crate) struct Held<'a, K, V> {
        map: Guard<'a, K, V>,
        key: K,
    }

    pub(crate) struct Vacancy<'a, K, V> {
        map: Guard<'a, K, V>,
        key: K,
    }

    pub(crate) enum Entry<'a, K, V> {
        Occupied(Held<'a, K, V>),
        Vacant(Vacancy<'a, K, V>),
    }

    impl<K: Ord + Copy, V> DashMap<K, V> {
        pub(crate) fn get(&self, key: &K) -> Option<Ref<'_, K, V>> {
            match self.entry(*key) {
                Entry::Occupied(held) => Some(Ref(held)),
                Entry::Vacant(_) => None,
            }
        }

        pub(crate) fn entry(&self, key: K) -> Entry<'_, K, V> {
            let map = self.0.lock();
            if map.contains_key(&key) {
                Entry::Occupied(Held { map, key })
            } else {
                Entry::Vacant(Vacancy { map, key })
            }
        }

        pub(crate) fn iter(&self) -> impl Iterator<Item = Key<K>> {
            self.0.lock().keys().map(|key| Key(*key)).collect::<Vec<_>>().into_iter()
        }

        pub(crate) fn len(&self) -> usize {
            self.0.lock().len()
        }

        pub(crate) fn remove(&self, key: &K) -> Option<(K, V)> {
            self.0.lock().remove(key).map(|value| (*key, value))
        }

        pub(crate) fn remove_if(&self, key: &K, condition: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
            let mut map = self.0.lock();
            let is_met = map.get(key).is_some_and(|value| condition(key, value));
            if is_met { map.remove(key).map(|value| (*key, value)) } else { None }
        }

        pub(crate) fn retain(&self, condition: impl FnMut(&K, &mut V) -> bool) {
            self.0.lock().retain(condition);
        }
    }

    pub(crate) struct Ref<'a, K, V>(Held<'a, K, V>);

    impl<K: Ord + Copy, V> Deref for Ref<'_, K, V> {
        type Target = V;

        fn deref(&self) -> &V {
            &self.0
        }
    }

    pub(crate) struct Key<K>(K);

    impl<K> Key<K> {
        pub(crate) fn key(&self) -> &K {
            &self.0
        }
    }

    impl<'a, K: Ord + Copy, V> Entry<'a, K, V> {
        pub(crate) fn or_insert_with(self, make: impl FnOnce() -> V) -> Held<'a, K, V> {
            match self {
                Self::Occupied(held) => held,
                Self::Vacant(place) => place.insert(make()),
            }
        }

        pub(crate) fn or_default(self) -> Held<'a, K, V>
        where
            V: Default,
        {
            self.or_insert_with(V::default)
        }
    }

    impl<'a, K: Ord + Copy, V> Vacancy<'a, K, V> {
        pub(crate) fn insert(mut self, value: V) -> Held<'a, K, V> {
            self.map.insert(self.key, value);
            Held { map: self.map, key: self.key }
        }
    }

    impl<K: Ord + Copy, V> Held<'_, K, V> {
        pub(crate) fn get(&self) -> &V {
            self
        }

        pub(crate) fn insert(&mut self, value: V) -> Option<V> {
            self.map.insert(self.key, value)
        }

        pub(crate) fn into_ref(self) -> Self {
            self
        }

        pub(crate) fn remove(mut self) -> V {
            self.map.remove(&self.key).expect("an entry that is there")
        }
    }

    impl<K: Ord + Copy, V> Deref for Held<'_, K, V> {
        type Target = V;

        fn deref(&self) -> &V {
            self.map.get(&self.key).expect("an entry that is there")
        }
    }

    impl<K: Ord + Copy, V> DerefMut for Held<'_, K, V> {
        fn deref_mut(&mut self) -> &mut V {
            self.map.get_mut(&self.key).expect("an entry that is there")
        }
    }
}

/// A stream whose kernel takes some of what it is given, or nothing, as it likes. As with TLS, some of what it
/// has taken may still have to be flushed.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    wire: Mutex<Vec<u8>>,
    /// Taken and not yet on the wire.
    record: Mutex<Vec<u8>>,
    pub(crate) written: Notify,
}

impl Transport {
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_flush()?;
        let taken = shuttle::rand::thread_rng().gen_range(0..=bytes.len());
        if taken == 0 {
            turn();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = if shuttle::rand::thread_rng().gen_bool(0.5) {
            taken
        } else {
            shuttle::rand::thread_rng().gen_range(0..taken)
        };
        self.wire.lock().extend_from_slice(&bytes[..written]);
        self.record.lock().extend_from_slice(&bytes[written..taken]);
        self.written.notify_one();
        Ok(taken)
    }

    pub(crate) fn try_flush(&self) -> io::Result<()> {
        let mut record = self.record.lock();
        if record.is_empty() {
            return Ok(());
        }
        if shuttle::rand::thread_rng().gen_bool(0.5) {
            drop(record);
            turn();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.wire.lock().append(&mut record);
        self.written.notify_one();
        Ok(())
    }

    /// All that was written so far.
    pub(crate) fn wire(&self) -> Vec<u8> {
        self.wire.lock().clone()
    }
}
