//! People: they look at what there is to do and do part of it, sooner or later. Before they say what became of a send they ask
//! around, and they wait while something may still happen.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use hub_core::journal::{Decision, Parked, ParkedKind, Task, TaskKind};
use hub_life::outbound::Action;
use hub_life::task::Word;
use hub_runtime::{Operate, Release};

use crate::journal::Journal;
use crate::sends::Truth;
use crate::world::World;

/// How long a person waits for an answer of the hub.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets people act. `diligent`: they do all there is, at once, and give nothing up.
pub(crate) fn act(world: &Arc<World>, journal: &Journal, pick: u64, diligent: bool) {
    for task in journal.tasks.values() {
        let mood = mood(pick, &task.id);
        if diligent || !mood.is_multiple_of(3) {
            let (world, word) = (world.clone(), word(task, mood, diligent));
            let (task, late) = (task.id.clone(), late(mood, diligent));
            drop(tokio::spawn(async move {
                tokio::time::sleep(late).await;
                if let Some(operate) = operate(&world) {
                    world.note(|| format!("{} says {:?} about {task}", word.person, word.decision));
                    drop(tokio::time::timeout(PATIENCE, operate.decide(&task, word)).await);
                }
            }));
        }
    }
    for parked in journal.parked.values() {
        let mood = mood(pick, &parked.id);
        if diligent || mood.is_multiple_of(2) {
            let (world, parked, late) = (world.clone(), parked.clone(), late(mood, diligent));
            drop(tokio::spawn(async move {
                tokio::time::sleep(late).await;
                release(&world, parked, mood, diligent).await;
            }));
        }
    }
}

fn operate(world: &World) -> Option<Arc<dyn Operate>> {
    world.inner().operate.as_ref().map(|(_, operate)| operate.clone())
}

/// Who acts, and how.
fn mood(pick: u64, about: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    (pick, about).hash(&mut hash);
    hash.finish() >> 8
}

fn late(mood: u64, diligent: bool) -> Duration {
    match mood % 5 {
        _ if diligent => Duration::ZERO,
        0 | 1 => Duration::ZERO,
        2 => Duration::from_millis(mood % 997),
        3 => Duration::from_millis(mood % 59_999),
        _ => Duration::from_millis(mood % 7_199_999),
    }
}

fn word(task: &Task, mood: u64, diligent: bool) -> Word {
    let decision = match task.kind {
        TaskKind::Todo => Decision::Done,
        TaskKind::Approve if !diligent && mood.is_multiple_of(17) => Decision::Reject,
        TaskKind::Approve => Decision::Approve,
    };
    Word {
        person: ["anna", "bruno", "carla"][(mood % 3) as usize].into(),
        roles: vec!["approvatore".into(), "controllore".into()],
        entities: Vec::new(),
        decision,
        comment: String::new(),
        sha256: task.sha256.clone(),
    }
}

/// Decides about a parked message, by what can be found out at this moment.
async fn release(world: &World, parked: Parked, mood: u64, diligent: bool) {
    let truth = world.inner().sends.truth(&parked.id);
    let tired = !diligent && mood.is_multiple_of(11) && parked.kind != ParkedKind::Wait;
    let action = match (parked.kind, truth) {
        (ParkedKind::InDoubt, Truth::MayArrive) => return,
        (ParkedKind::InDoubt, Truth::Arrived) => Action::Delivered,
        _ if tired => Action::GiveUp,
        (ParkedKind::InDoubt, Truth::Never) => Action::NotDelivered,
        _ => Action::Retry,
    };
    let Some(operate) = operate(world) else { return };
    world.note(|| format!("dora says {action:?} about {}, which is {truth:?}", parked.id));
    let (by, note) = ("dora".to_string(), String::new());
    let release = Release { parked: parked.id, action, by, entities: Vec::new(), note };
    drop(tokio::time::timeout(PATIENCE, operate.release(release)).await);
}
