//! The runtime as a whole: routes as YAML, a memory or embedded backbone, a clock that is turned by hand, and plug-ins whose
//! behaviour each test scripts. `RACCORDO_SEED=n` repeats one history of the simulation.

mod runtime {
    mod admission;
    mod crashes;
    mod flow;
    mod lanes;
    mod outside;
    mod overload;
    mod recovery;
    mod sends;
    mod simulation;
    mod steps;
    mod tasks;
    mod waits;
    mod world;
}
