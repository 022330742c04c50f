//! What may happen next: everything that crashes, networks, receivers and people can do at this point.

use hub_life::outbound::{Action, State};

use super::{Bounds, End, Move, Node, Reply, Stage, second};

impl Node {
    /// Everything that may happen next.
    pub(crate) fn moves(&self, bounds: &Bounds) -> Vec<Move> {
        let mut moves = Vec::with_capacity(16);
        self.moves_of_outside(bounds, &mut moves);
        self.moves_of_hub(bounds, &mut moves);
        self.moves_of_people(bounds, &mut moves);
        self.moves_of_stores(bounds, &mut moves);
        moves
    }

    fn moves_of_stores(&self, bounds: &Bounds, moves: &mut Vec<Move>) {
        let world = &self.world;
        if world.restores < bounds.restores && world.old.len() + 1 < bounds.lives && !self.out.is_final() {
            moves.extend(self.copy.is_none().then_some(Move::Backup));
        }
        // a store may be lost after it was all over, too
        if world.restores < bounds.restores && world.old.len() + 1 < bounds.lives && self.copy.is_some() {
            moves.push(Move::Restore);
        }
        // a careful person makes sure that no other hub runs any more
        if world.restores > 0 && !world.vouched && world.old.iter().all(|old| old.over) && !self.out.is_final() {
            moves.push(Move::Vouch);
        }
    }

    fn moves_of_outside(&self, bounds: &Bounds, moves: &mut Vec<Move>) {
        let world = &self.world;
        if world.time < bounds.horizon {
            moves.push(Move::Tick);
        }
        moves.extend((0..world.loose.len()).map(Move::LandLoose));
        for (index, old) in world.old.iter().enumerate().filter(|(_, old)| !old.over) {
            moves.push(Move::OldDies(index));
            match old.attempt {
                Some(Stage::Before) => moves.push(Move::OldCrosses(index)),
                Some(Stage::InFlight) => moves.push(Move::OldLands(index)),
                Some(Stage::Landed) | None => {}
            }
        }
        if world.effects > 0 && !world.proven {
            moves.push(Move::Proof);
        }
    }

    fn moves_of_hub(&self, bounds: &Bounds, moves: &mut Vec<Move>) {
        let world = &self.world;
        let attempts_left = self.out.attempts < bounds.attempts || !matches!(self.out.state, State::Ready { .. });
        if world.wake.is_some_and(|at| at <= world.time) && attempts_left {
            moves.push(Move::Wake);
        }
        if world.send {
            moves.push(Move::CarrySend);
        }
        moves.extend(self.moves_of_attempt());
        if world.ask {
            moves.extend(self.replies().map(Move::CarryAsk));
        }
        moves.extend(world.answer.map(|_| Move::Hear));
        if world.old.len() + 1 < bounds.lives && !self.out.is_final() {
            moves.extend([Move::Crash, Move::Freeze]);
        }
    }

    fn moves_of_attempt(&self) -> Vec<Move> {
        let expired = matches!(self.out.state, State::Sending { not_after, .. } if second(not_after) < self.world.time);
        match self.world.attempt {
            None => vec![],
            Some(Stage::Before) if expired => vec![Move::Finish(End::NotSent), Move::Finish(End::InDoubt)],
            Some(Stage::Before) => {
                vec![Move::Cross, Move::Finish(End::NotSent), Move::Finish(End::Rejected), Move::Finish(End::InDoubt)]
            }
            Some(Stage::InFlight) => {
                let no_effect = [Move::Finish(End::NotSent), Move::Finish(End::Rejected)];
                [&[Move::Land, Move::Finish(End::InDoubt)][..], &no_effect].concat()
            }
            Some(Stage::Landed) => vec![Move::Finish(End::Receipt), Move::Finish(End::InDoubt)],
        }
    }

    /// What an honest receiver may answer now. Before its view is final "not there" says nothing, but may be said.
    fn replies(&self) -> impl Iterator<Item = Reply> {
        let (there, is_final) = (self.world.effects > 0, self.world.view_is_final());
        let vouched = self.world.vouched;
        [Reply::Delivered, Reply::NotDelivered, Reply::Unknown, Reply::CouldNotAsk].into_iter().filter(move |reply| {
            match reply {
                Reply::Delivered => there,
                Reply::NotDelivered => !there || !is_final,
                // what a person vouches for: whatever is there can be found, once it has settled
                Reply::Unknown if vouched => !there || !is_final,
                Reply::Unknown | Reply::CouldNotAsk => true,
            }
        })
    }

    fn moves_of_people(&self, bounds: &Bounds, moves: &mut Vec<Move>) {
        if !matches!(self.out.state, State::Parked { .. }) || self.world.persons >= bounds.persons {
            return;
        }
        let actions = [Action::Retry, Action::Delivered, Action::NotDelivered, Action::GiveUp].into_iter();
        moves.extend(actions.filter(|action| !bounds.truthful || self.is_true(*action)).map(Move::Person));
    }

    /// Whether a careful person who knows everything could say so. "Retry" says nothing: it must be harmless by itself.
    fn is_true(&self, action: Action) -> bool {
        match action {
            Action::Retry | Action::GiveUp => true,
            Action::Delivered => self.world.effects > 0,
            Action::NotDelivered => self.world.effects == 0 && self.world.view_is_final(),
        }
    }
}
