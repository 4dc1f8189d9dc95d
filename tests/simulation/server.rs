//! A server: the hub and the built-in engine as they are, on a runtime of their own whose clock is
//! paused. Killing it drops the runtime with everything in it; stalling it means not to run it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use relive::engine::{Engine, EngineOptions};
use relive::hub::{Hub, HubOptions};
use relive_session::ambient::{self, Ambient};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::database::Process;
use crate::nodes::Kinds;
use crate::store::SimulatedStore;
use crate::world::Shared;

/// When it all begins: 2026-01-01.
pub const EPOCH: i64 = 1_767_225_600_000;

/// Which time of the world it is on a server.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    began: Instant,
    base: u64,
}

impl Watch {
    pub fn at(self, time: Instant) -> u64 {
        self.base + u64::try_from(time.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// To be asked in the server's runtime.
    pub fn now(self) -> u64 {
        self.base + u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A server's wall clock and its random numbers.
#[derive(Debug)]
struct Surroundings {
    watch: Watch,
    offset: Cell<i64>,
    chance: RefCell<Chance>,
}

impl Ambient for Surroundings {
    fn now(&self) -> DateTime<Utc> {
        let millis = EPOCH + self.watch.now().cast_signed() + self.offset.get();
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }

    fn random(&self) -> u64 {
        self.chance.borrow_mut().next()
    }
}

/// How the servers of a run are sized.
#[derive(Clone, Debug)]
pub struct Size {
    pub hub: HubOptions,
    pub engine: EngineOptions,
}

struct Life {
    runtime: Runtime,
    hub: Hub,
    engine: Engine,
    surroundings: Rc<Surroundings>,
    /// How far its clock has come.
    at: u64,
}

pub struct Server {
    pub process: Process,
    life: Option<Life>,
    pub stalled_until: u64,
    offset: i64,
}

impl Server {
    pub fn new(server: usize) -> Self {
        Self { process: Process { server, life: 0 }, life: None, stalled_until: 0, offset: 0 }
    }

    pub fn hub(&self) -> Option<&Hub> {
        self.life.as_ref().map(|life| &life.hub)
    }

    pub fn is_up(&self) -> bool {
        self.life.is_some()
    }

    pub fn start(&mut self, world: &Shared, size: &Size) {
        #[cfg_attr(not(tokio_unstable), allow(unused_mut))]
        let (now, mut chance) = {
            let mut world = world.lock();
            (world.now, world.chance.branch())
        };
        self.process.life += 1;
        self.stalled_until = 0;
        let mut builder = tokio::runtime::Builder::new_current_thread();
        #[cfg(tokio_unstable)]
        builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&chance.next().to_le_bytes()));
        let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
        let (process, offset) = (self.process, self.offset);
        let (surroundings, hub, engine) = runtime.block_on(async {
            let watch = Watch { began: Instant::now(), base: now };
            let surroundings = Rc::new(Surroundings { watch, offset: Cell::new(offset), chance: RefCell::new(chance) });
            let before = ambient::supply(Some(Rc::clone(&surroundings) as _));
            let store = SimulatedStore { world: world.clone(), process, watch };
            let hub = Hub::new(store, &size.hub);
            let kinds = Kinds { world: world.clone(), process };
            let engine = Engine::start(hub.clone(), kinds, size.engine);
            ambient::supply(before);
            (surroundings, hub, engine)
        });
        self.life = Some(Life { runtime, hub, engine, surroundings, at: now });
    }

    /// With its own clock and random numbers.
    fn inside<T>(life: &mut Life, work: impl FnOnce(&mut Life) -> T) -> T {
        let before = ambient::supply(Some(Rc::clone(&life.surroundings) as _));
        let done = work(life);
        ambient::supply(before);
        done
    }

    pub fn kill(&mut self) {
        if let Some(mut life) = self.life.take() {
            // What is dropped may still look at the clock.
            let surroundings = Rc::clone(&life.surroundings);
            let before = ambient::supply(Some(surroundings as _));
            Self::inside(&mut life, |_| {});
            drop(life);
            ambient::supply(before);
        }
    }

    pub fn jump(&mut self, by: i64) {
        self.offset += by;
        if let Some(life) = &self.life {
            life.surroundings.offset.set(self.offset);
        }
    }

    /// How far behind the world it is.
    pub fn lag(&self, now: u64) -> u64 {
        self.life.as_ref().map_or(0, |life| now.saturating_sub(life.at))
    }

    /// Runs until its clock has come to `now`, and a little further if it is there already.
    pub fn run_to(&mut self, now: u64) {
        if self.stalled_until > now {
            return;
        }
        let was_stalled = std::mem::take(&mut self.stalled_until) > 0;
        let Some(life) = &mut self.life else { return };
        let to = now.max(life.at + 1);
        let time = Duration::from_millis(to - life.at);
        life.at = to;
        Self::inside(life, |life| {
            life.runtime.block_on(async {
                if was_stalled {
                    // Everything that was due meanwhile is due at once.
                    tokio::time::advance(time).await;
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(time).await;
                }
            });
        });
    }

    pub fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(life) = &mut self.life {
            Self::inside(life, |life| drop(life.runtime.spawn(work)));
        }
    }

    /// As on SIGTERM; `then` is called at the end.
    pub fn shut_down(&mut self, then: impl FnOnce() + Send + 'static) {
        let Some(life) = &mut self.life else { return };
        let (hub, engine) = (life.hub.clone(), life.engine.clone());
        self.spawn(async move {
            engine.shutdown().await;
            hub.shutdown(Duration::from_secs(10)).await;
            then();
        });
    }
}
