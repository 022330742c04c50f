//! The runtime as a whole: routes as YAML, a memory or embedded backbone, a clock that is turned by hand, and plug-ins whose
//! behaviour each test scripts.

mod runtime {
    mod admission;
    mod crashes;
    mod damage;
    mod flow;
    mod lanes;
    mod many;
    mod many_world;
    mod outside;
    mod overload;
    mod recovery;
    mod retention;
    mod sends;
    mod steps;
    mod tasks;
    mod waits;
    mod world;
}
