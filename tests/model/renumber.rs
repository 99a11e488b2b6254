//! Where the numbers of a world are.

use crate::numbers::*;
use crate::world::*;

numbered!(World {
    now,
    date,
    resource,
    secret,
    journal,
    remote,
    wire,
    puts,
    operators,
    formers
});
numbered!(Resource { uid, version, status });
numbered!(Status { records, published });
numbered!(Record {
    created,
    last_set,
    retire_after
});
numbered!(Former { password, until });
numbered!(Published { version, password });
numbered!(OutputSecret { version, password });
numbered!(Stored {
    epoch,
    sequence,
    token,
    next_id,
    entries
});
numbered!(JournalWrite {
    base,
    next,
    change,
    started
});
numbered!(JournalEntry {
    id,
    uid,
    password,
    seen,
    epoch
});
numbered!(Seen { at, created });
numbered!(Remote {
    users,
    before,
    coming,
    crowd,
    late,
    accepted
});
numbered!(Late { uid, since });
numbered!(Before { user, until });
numbered!(Coming { user, since });
numbered!(User {
    mark,
    maker,
    password,
    created,
    modified,
    born
});
numbered!(Request {
    entry,
    uid,
    password,
    sent,
    answer
});
numbered!(View {
    mark,
    created,
    modified
});
numbered!(Operator {
    term,
    last_write,
    observations,
    absent_since,
    poll,
    last_busy,
    crowd,
    attempts,
    pending,
    watched,
    turns
});
numbered!(Watched { resource });
numbered!(Turn { uid });
numbered!(Term {
    epoch,
    began,
    written,
    copy,
    version
});
numbered!(Observation { user, started, date });
numbered!(Poll { started });
numbered!(Sendings {
    entry,
    last,
    last_by_remote,
    outcome,
    login,
    after_deletion
});
numbered!(Outcome { at, answer });
numbered!(Decision {
    gives_back,
    begins,
    step,
    status
});
numbered!(Draft {
    uid,
    replaces,
    published,
    seen
});
numbered!(StatusWrite {
    uid,
    version,
    record,
    published,
    until
});

impl Numbered for [Operator; 2] {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        self.iter_mut().for_each(|operator| operator.visit(f));
    }
}

impl Numbered for Answer {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        if let Answer::Accepted(view) = self {
            view.visit(f);
        }
    }
}

impl Numbered for Login {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        if let Login::Refused(at) = self {
            at.visit(f);
        }
    }
}

impl Numbered for Pending {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        match self {
            Pending::Do(decision) => decision.visit(f),
            Pending::WriteStatus(write) => write.visit(f),
            Pending::Unsure(write) => write.visit(f),
        }
    }
}

impl Numbered for Todo {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        match self {
            Todo::Stage(draft) => draft.visit(f),
            Todo::Send(entry) | Todo::Verify(entry) => entry.visit(f),
            Todo::Publish { entry, on } => {
                entry.visit(f);
                if let On::At(version) = on {
                    version.visit(f);
                }
            }
            Todo::AskTurn(uid) => uid.visit(f),
            Todo::Settle(id) => id.visit(f),
            Todo::ReleaseSecret(version) => version.visit(f),
            Todo::Nothing | Todo::Claim | Todo::Look | Todo::Poll | Todo::Forget | Todo::LetGo { .. } => {}
        }
    }
}

impl Numbered for Change {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        match self {
            Change::Touch => {}
            Change::Settle(id) => id.visit(f),
            Change::Stage(draft, password) => {
                draft.visit(f);
                password.visit(f);
            }
        }
    }
}
