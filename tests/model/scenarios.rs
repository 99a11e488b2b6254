//! The searches: each with few enough faults to be searched whole.

use pguser_operator::domain::timings::Rules;

use crate::scenario::{Doubt, Provider, Scenario, Start};
use crate::world::Budget;

/// Changes turn the cluster busy; users show who made them. Dates are left to other searches.
const IONOS: Provider = Provider {
    turns_busy: true,
    direct_read: true,
    verifiable: false,
    creators: true,
    dates: false,
    marks: false,
    deletes_late: false,
    deletes_in_steps: false,
};

/// The same, where the operator can log in, and nothing shows who made a user.
const IONOS_REACHED: Provider = Provider {
    verifiable: true,
    creators: false,
    ..IONOS
};

/// Only lists, and dates as the only evidence.
const SCALINGO: Provider = Provider {
    turns_busy: false,
    direct_read: false,
    verifiable: false,
    creators: false,
    dates: true,
    ..IONOS
};

/// The operator can log in; users show who made them, and have no dates.
const SIGNED: Provider = Provider {
    turns_busy: false,
    direct_read: true,
    verifiable: true,
    creators: true,
    ..IONOS
};

/// The operator can log in; users are marked, and a change of a user with another mark is refused.
const SQL: Provider = Provider {
    creators: false,
    marks: true,
    ..SIGNED
};

/// As little as can be, for the searches with two leaders: no logins, and no reads but those that are asked for.
const PLAIN: Provider = Provider {
    verifiable: false,
    ..SIGNED
};

/// All the evidence that there can be.
const TELLING: Provider = Provider {
    dates: true,
    ..SIGNED
};

const NONE: Budget = Budget {
    lost_answers: 0,
    crashes: 0,
    takeovers: 0,
    pauses: 0,
    lost_writes: 0,
    stale_reads: 0,
    rotations: 0,
    switches: 0,
    deletions: 0,
    forced: 0,
    recreations: 0,
    outsider_creates: 0,
    outsider_deletes: 0,
    outsider_passwords: 0,
    clock_jumps: 0,
    watch_lags: 0,
    reclaims: 0,
    retains: 0,
    suspends: 0,
    misspecs: 0,
    closings: 0,
    journal_reads: 0,
    failed_deletions: 0,
    neighbours: 0,
    drops: 0,
};

/// One lost answer and one crash.
const FAULTS: Budget = Budget {
    lost_answers: 1,
    crashes: 1,
    ..NONE
};

/// Two leaders, one of which may stand still at any point.
const RIVALS: Budget = Budget {
    takeovers: 1,
    pauses: 1,
    ..NONE
};

fn two_leaders(name: &'static str, start: Start, budget: Budget) -> Scenario {
    two_leaders_of(name, PLAIN, start, budget)
}

fn two_leaders_of(name: &'static str, provider: Provider, start: Start, budget: Budget) -> Scenario {
    Scenario {
        refresh: false,
        ..scenario(name, provider, start, budget)
    }
}

fn scenario(name: &'static str, provider: Provider, start: Start, budget: Budget) -> Scenario {
    Scenario {
        name,
        provider,
        budget,
        adopt: false,
        retain: false,
        alternates: false,
        start,
        scheduled: false,
        tokens: true,
        gives_up: false,
        doubt: Doubt::UntilProven,
        refresh: true,
        slip: None,
        rules: Rules::all(),
    }
}

pub fn creation() -> Scenario {
    scenario("creation", IONOS, Start::Created, FAULTS)
}

pub fn creation_where_logins_tell() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        ..NONE
    };
    scenario("creation, logins tell", IONOS_REACHED, Start::Created, budget)
}

pub fn creation_with_trailing_lists() -> Scenario {
    let budget = Budget {
        stale_reads: 1,
        ..FAULTS
    };
    scenario("creation, trailing lists", SCALINGO, Start::Created, budget)
}

pub fn creation_beside_an_outsider() -> Scenario {
    let budget = Budget {
        outsider_creates: 1,
        outsider_deletes: 1,
        ..FAULTS
    };
    scenario("creation, an outsider", SIGNED, Start::Created, budget)
}

pub fn creation_beside_an_outsider_that_a_login_tells() -> Scenario {
    let unmarked = Provider {
        creators: false,
        ..SIGNED
    };
    let budget = Budget {
        outsider_creates: 1,
        ..FAULTS
    };
    scenario(
        "creation, an outsider told by a login",
        unmarked,
        Start::Created,
        budget,
    )
}

pub fn creation_by_two_leaders() -> Scenario {
    two_leaders("creation, two leaders", Start::Created, RIVALS)
}

pub fn creation_by_two_leaders_who_read() -> Scenario {
    let budget = Budget {
        takeovers: 1,
        journal_reads: 1,
        ..NONE
    };
    two_leaders("creation, two leaders who read", Start::Created, budget)
}

/// The same, where the one who sent what is not his does not live to finish it. (Searched whole with R4: 526,000 states.)
pub fn creation_by_two_leaders_who_read_and_crash() -> Scenario {
    let mut scenario = creation_by_two_leaders_who_read();
    scenario.budget.crashes = 1;
    scenario
}

pub fn creation_with_lost_journal_writes() -> Scenario {
    let budget = Budget {
        lost_writes: 1,
        takeovers: 1,
        ..NONE
    };
    two_leaders("creation, lost journal writes", Start::Created, budget)
}

pub fn rotation_with_lost_journal_writes() -> Scenario {
    let budget = Budget {
        lost_writes: 1,
        lost_answers: 1,
        crashes: 1,
        rotations: 1,
        ..NONE
    };
    two_leaders("rotation, lost journal writes", Start::Ready, budget)
}

/// As it was: equal headers are proof, and a write of which nothing can be learnt is given up.
pub fn creation_where_headers_prove() -> Scenario {
    Scenario {
        tokens: false,
        gives_up: true,
        ..creation_with_lost_journal_writes()
    }
}

pub fn rotation() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..FAULTS
    };
    scenario("rotation", IONOS, Start::Ready, budget)
}

/// Others change their users of the same cluster meanwhile, and it may keep none of what turned it BUSY.
const CROWD: Budget = Budget {
    neighbours: 1,
    drops: 1,
    ..NONE
};

/// (Searched whole with a lost answer, 276,000 states, and with a crash, a million.)
pub fn creation_in_a_crowd() -> Scenario {
    scenario("creation, in a crowd", IONOS, Start::Created, CROWD)
}

pub fn rotation_in_a_crowd() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..CROWD
    };
    scenario("rotation, in a crowd", IONOS, Start::Ready, budget)
}

pub fn two_rotations() -> Scenario {
    let budget = Budget {
        rotations: 2,
        ..FAULTS
    };
    scenario("two rotations", SIGNED, Start::Ready, budget)
}

pub fn rotation_by_two_leaders() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..RIVALS
    };
    two_leaders("rotation, two leaders", Start::Ready, budget)
}

pub fn drift() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        rotations: 1,
        outsider_passwords: 1,
        ..NONE
    };
    scenario("drift", SCALINGO, Start::Ready, budget)
}

pub fn early_deletion() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        deletions: 1,
        forced: 1,
        ..NONE
    };
    scenario("early deletion", IONOS, Start::Created, budget)
}

pub fn early_deletion_by_two_leaders() -> Scenario {
    let budget = Budget {
        deletions: 1,
        ..RIVALS
    };
    two_leaders("early deletion, two leaders", Start::Created, budget)
}

pub fn deletion_beside_an_outsider() -> Scenario {
    let budget = Budget {
        deletions: 1,
        outsider_deletes: 1,
        outsider_creates: 1,
        ..FAULTS
    };
    scenario("deletion, an outsider", TELLING, Start::Ready, budget)
}

pub fn deletion_by_two_leaders() -> Scenario {
    let budget = Budget {
        deletions: 1,
        ..RIVALS
    };
    two_leaders("deletion, two leaders", Start::Ready, budget)
}

pub fn jumping_clock() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        clock_jumps: 1,
        deletions: 1,
        forced: 1,
        ..NONE
    };
    scenario("jumping clock", SIGNED, Start::Created, budget)
}

pub fn adoption() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        deletions: 1,
        ..NONE
    };
    Scenario {
        adopt: true,
        ..scenario("adoption", IONOS, Start::Taken, budget)
    }
}

pub fn retention() -> Scenario {
    let budget = Budget {
        rotations: 1,
        deletions: 1,
        ..FAULTS
    };
    Scenario {
        retain: true,
        ..scenario("retention", SIGNED, Start::Ready, budget)
    }
}

pub fn recreation() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        deletions: 1,
        forced: 1,
        recreations: 1,
        ..NONE
    };
    scenario("recreation", SIGNED, Start::Created, budget)
}

pub fn marked_creation_beside_an_outsider() -> Scenario {
    let budget = Budget {
        outsider_creates: 1,
        outsider_deletes: 1,
        ..FAULTS
    };
    scenario("creation, marks, an outsider", SQL, Start::Created, budget)
}

pub fn marked_rotations() -> Scenario {
    let budget = Budget {
        rotations: 2,
        outsider_deletes: 1,
        ..FAULTS
    };
    scenario("rotations, marks", SQL, Start::Ready, budget)
}

pub fn marked_deletion_beside_an_outsider() -> Scenario {
    let budget = Budget {
        deletions: 1,
        outsider_deletes: 1,
        outsider_creates: 1,
        ..FAULTS
    };
    scenario("deletion, marks, an outsider", SQL, Start::Ready, budget)
}

pub fn marked_adoption() -> Scenario {
    let budget = Budget {
        deletions: 1,
        ..FAULTS
    };
    Scenario {
        adopt: true,
        ..scenario("adoption, marks", SQL, Start::Taken, budget)
    }
}

pub fn marked_recreation() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        deletions: 1,
        forced: 1,
        recreations: 1,
        ..NONE
    };
    scenario("recreation, marks", SQL, Start::Created, budget)
}

pub fn marked_creation_by_two_leaders() -> Scenario {
    let marked = Provider {
        verifiable: false,
        ..SQL
    };
    let budget = Budget {
        takeovers: 1,
        lost_answers: 1,
        ..NONE
    };
    Scenario {
        refresh: false,
        ..scenario("creation, marks, two leaders", marked, Start::Created, budget)
    }
}

/// Turns are asked for and given, and what is to be sent waits.
fn scheduled(name: &'static str, provider: Provider, start: Start, budget: Budget) -> Scenario {
    Scenario {
        scheduled: true,
        refresh: false,
        ..scenario(name, provider, start, budget)
    }
}

pub fn creation_in_turn() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        suspends: 2,
        deletions: 1,
        watch_lags: 1,
        reclaims: 1,
        ..NONE
    };
    scheduled("creation, in turn", PLAIN, Start::Created, budget)
}

pub fn deletion_in_turn() -> Scenario {
    let budget = Budget {
        deletions: 1,
        retains: 2,
        watch_lags: 1,
        reclaims: 1,
        ..FAULTS
    };
    scheduled("deletion, in turn", PLAIN, Start::Ready, budget)
}

pub fn deletion_in_turn_beside_an_outsider() -> Scenario {
    let budget = Budget {
        deletions: 1,
        outsider_deletes: 1,
        outsider_creates: 1,
        lost_answers: 1,
        ..NONE
    };
    scheduled("deletion, in turn, an outsider", TELLING, Start::Ready, budget)
}

pub fn held_creation() -> Scenario {
    let budget = Budget {
        suspends: 2,
        closings: 1,
        deletions: 1,
        ..FAULTS
    };
    two_leaders("creation, held", Start::Created, budget)
}

pub fn held_rotation() -> Scenario {
    let budget = Budget {
        rotations: 1,
        suspends: 1,
        misspecs: 2,
        ..FAULTS
    };
    two_leaders("rotation, held", Start::Ready, budget)
}

pub fn second_thoughts_on_retention() -> Scenario {
    let budget = Budget {
        retains: 2,
        rotations: 1,
        deletions: 1,
        ..FAULTS
    };
    two_leaders("retention, second thoughts", Start::Ready, budget)
}

pub fn second_thoughts_on_retention_of_what_is_new() -> Scenario {
    let budget = Budget {
        retains: 2,
        deletions: 1,
        lost_answers: 1,
        ..NONE
    };
    two_leaders(
        "retention of what is new, second thoughts",
        Start::Created,
        budget,
    )
}

/// Deletions are accepted first, and in effect within T_live.
const LATE: Provider = Provider {
    deletes_late: true,
    ..PLAIN
};

pub fn succession() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        deletions: 1,
        recreations: 1,
        failed_deletions: 1,
        ..NONE
    };
    two_leaders_of("succession", LATE, Start::Ready, budget)
}

pub fn succession_with_crashes() -> Scenario {
    let budget = Budget {
        crashes: 1,
        stale_reads: 1,
        deletions: 1,
        recreations: 1,
        ..NONE
    };
    two_leaders_of("succession, crashes", LATE, Start::Ready, budget)
}

pub fn succession_on_a_busy_cluster() -> Scenario {
    let busy = Provider {
        turns_busy: true,
        ..LATE
    };
    let budget = Budget {
        lost_answers: 1,
        deletions: 1,
        recreations: 1,
        ..NONE
    };
    two_leaders_of("succession, a busy cluster", busy, Start::Ready, budget)
}

pub fn succession_by_two_leaders() -> Scenario {
    let budget = Budget {
        deletions: 1,
        recreations: 1,
        takeovers: 1,
        ..NONE
    };
    two_leaders_of("succession, two leaders", LATE, Start::Ready, budget)
}

pub fn deletion_in_steps() -> Scenario {
    let stepwise = Provider {
        deletes_in_steps: true,
        ..SQL
    };
    let budget = Budget {
        deletions: 1,
        retains: 2,
        recreations: 1,
        ..FAULTS
    };
    two_leaders_of("deletion, in steps", stepwise, Start::Ready, budget)
}

/// Two logins take turns.
fn alternating(name: &'static str, provider: Provider, start: Start, budget: Budget) -> Scenario {
    Scenario {
        alternates: true,
        ..two_leaders_of(name, provider, start, budget)
    }
}

/// One lost answer, one crash, and one read that trails.
const FAULTS_AND_TRAILING: Budget = Budget {
    stale_reads: 1,
    ..FAULTS
};

pub fn alternating_creation() -> Scenario {
    alternating(
        "alternating: creation",
        SCALINGO,
        Start::Created,
        FAULTS_AND_TRAILING,
    )
}

pub fn marked_alternating_creation() -> Scenario {
    alternating("alternating: creation, marks", SQL, Start::Created, FAULTS)
}

pub fn alternating_rotation() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..FAULTS_AND_TRAILING
    };
    alternating("alternating: rotation", SCALINGO, Start::Ready, budget)
}

pub fn marked_alternating_rotation() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..FAULTS
    };
    alternating("alternating: rotation, marks", SQL, Start::Ready, budget)
}

pub fn alternating_rotation_on_a_busy_cluster() -> Scenario {
    let budget = Budget {
        rotations: 1,
        lost_answers: 1,
        ..NONE
    };
    alternating(
        "alternating: rotation, a busy cluster",
        IONOS,
        Start::Ready,
        budget,
    )
}

pub fn alternating_rotation_in_turn() -> Scenario {
    let budget = Budget {
        rotations: 1,
        watch_lags: 1,
        reclaims: 1,
        lost_answers: 1,
        ..NONE
    };
    Scenario {
        scheduled: true,
        ..alternating("alternating: rotation, in turn", PLAIN, Start::Ready, budget)
    }
}

/// The login of before is retired, and, asked for another password, published again.
pub fn alternating_rotation_back() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..FAULTS_AND_TRAILING
    };
    alternating("alternating: rotation back", SCALINGO, Start::TurnedOver, budget)
}

pub fn marked_alternating_rotation_back() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..FAULTS
    };
    alternating(
        "alternating: rotation back, marks",
        SQL,
        Start::TurnedOver,
        budget,
    )
}

pub fn alternating_rotation_by_two_leaders() -> Scenario {
    let budget = Budget {
        rotations: 1,
        takeovers: 1,
        ..NONE
    };
    alternating("alternating: rotation, two leaders", PLAIN, Start::Ready, budget)
}

pub fn alternating_retirement_by_two_leaders() -> Scenario {
    alternating(
        "alternating: retirement, two leaders",
        PLAIN,
        Start::TurnedOver,
        RIVALS,
    )
}

pub fn marked_alternating_retirement_by_two_leaders() -> Scenario {
    let marked = Provider {
        verifiable: false,
        ..SQL
    };
    let budget = Budget { takeovers: 1, ..NONE };
    alternating(
        "alternating: retirement, marks, two leaders",
        marked,
        Start::TurnedOver,
        budget,
    )
}

/// A person has two logins take turns instead of one, or the other way round.
const SWITCH: Budget = Budget {
    switches: 1,
    ..FAULTS
};

pub fn change_to_alternating() -> Scenario {
    two_leaders_of(
        "change of strategy: to alternating",
        SCALINGO,
        Start::Ready,
        SWITCH,
    )
}

/// Also a password is asked for, before or after.
pub fn change_to_alternating_beside_a_rotation() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..SWITCH
    };
    two_leaders(
        "change of strategy: to alternating, a rotation",
        Start::Ready,
        budget,
    )
}

pub fn marked_change_to_alternating() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..SWITCH
    };
    two_leaders_of(
        "change of strategy: to alternating, marks, a rotation",
        SQL,
        Start::Ready,
        budget,
    )
}

pub fn change_from_alternating() -> Scenario {
    alternating(
        "change of strategy: from alternating",
        SCALINGO,
        Start::Ready,
        SWITCH,
    )
}

pub fn marked_change_from_alternating() -> Scenario {
    alternating(
        "change of strategy: from alternating, marks",
        SQL,
        Start::TurnedOver,
        SWITCH,
    )
}

/// There and back again, at any time after the object was made.
const SWITCHES: Budget = Budget {
    switches: 2,
    lost_answers: 1,
    ..NONE
};

pub fn changes_of_strategy_at_creation() -> Scenario {
    two_leaders("changes of strategy: creation", Start::Created, SWITCHES)
}

pub fn marked_changes_of_strategy_at_creation() -> Scenario {
    alternating(
        "changes of strategy: creation, marks",
        SQL,
        Start::Created,
        SWITCHES,
    )
}

pub fn changes_of_strategy() -> Scenario {
    let budget = Budget {
        switches: 2,
        rotations: 1,
        ..NONE
    };
    alternating("changes of strategy", PLAIN, Start::TurnedOver, budget)
}

pub fn marked_changes_of_strategy() -> Scenario {
    let budget = Budget { switches: 2, ..NONE };
    alternating("changes of strategy, marks", SQL, Start::TurnedOver, budget)
}

/// The object is deleted at any time.
const DELETION: Budget = Budget {
    deletions: 1,
    ..FAULTS
};

pub fn alternating_early_deletion() -> Scenario {
    alternating("alternating: early deletion", SCALINGO, Start::Created, DELETION)
}

pub fn marked_alternating_early_deletion() -> Scenario {
    alternating(
        "alternating: early deletion, marks",
        SQL,
        Start::Created,
        DELETION,
    )
}

pub fn alternating_deletion() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..DELETION
    };
    alternating("alternating: deletion", PLAIN, Start::Ready, budget)
}

pub fn marked_alternating_deletion() -> Scenario {
    let budget = Budget {
        rotations: 1,
        ..DELETION
    };
    alternating("alternating: deletion, marks", SQL, Start::Ready, budget)
}

pub fn alternating_deletion_in_an_overlap() -> Scenario {
    alternating(
        "alternating: deletion in an overlap",
        SCALINGO,
        Start::TurnedOver,
        DELETION,
    )
}

/// With steps, and with second thoughts on whether the logins are kept.
pub fn marked_alternating_deletion_in_an_overlap() -> Scenario {
    let stepwise = Provider {
        deletes_in_steps: true,
        ..SQL
    };
    let budget = Budget {
        retains: 1,
        lost_answers: 1,
        deletions: 1,
        ..NONE
    };
    alternating(
        "alternating: deletion in an overlap, marks, in steps",
        stepwise,
        Start::TurnedOver,
        budget,
    )
}

/// After a change of strategy there may be three logins.
pub fn deletion_after_a_change_of_strategy() -> Scenario {
    let budget = Budget {
        switches: 1,
        deletions: 1,
        lost_answers: 1,
        ..NONE
    };
    two_leaders("change of strategy: deletion", Start::Ready, budget)
}

pub fn marked_deletion_after_a_change_of_strategy() -> Scenario {
    let budget = Budget {
        switches: 1,
        deletions: 1,
        lost_answers: 1,
        ..NONE
    };
    alternating(
        "change of strategy: deletion, marks",
        SQL,
        Start::TurnedOver,
        budget,
    )
}
