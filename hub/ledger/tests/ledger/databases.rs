//! Every question on every database. PostgreSQL gets one server for all of them, and each body a database of its own.

use hub_testkit::Postgres;

use crate::filled::Kind;
use crate::{kept, lists};

macro_rules! bodies {
    ($($module:ident::$name:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    crate::$module::$name(crate::filled::Kind::Sqlite).await;
                }
            )*
        }

        #[tokio::test]
        async fn postgres_answers_all_questions_as_sqlite_does() {
            let Some(server) = Postgres::start() else { return };
            $(
                println!(stringify!($name));
                $module::$name(Kind::Postgres(server.database(stringify!($name)))).await;
            )*
        }
    };
}

bodies![
    lists::pages_are_complete_and_do_not_repeat_while_cases_are_added,
    lists::cases_are_found_by_each_filter,
    lists::bad_questions_are_refused,
    lists::a_case_shows_all_that_belongs_to_it,
    lists::a_case_stays_with_its_first_entity_and_gets_one_later_if_it_had_none,
    lists::what_has_no_entity_is_for_those_who_see_all,
    lists::tasks_are_found_by_role_entity_and_state,
    lists::a_parked_message_says_what_may_be_done_and_moves_its_message,
    lists::sums_are_exact,
    lists::lists_of_many_cases_come_in_bounded_pages,
    lists::what_needs_attention_is_counted_with_its_oldest_and_its_next,
    lists::a_text_with_a_nul_is_found_again,
    kept::what_is_over_and_what_is_needed,
];
