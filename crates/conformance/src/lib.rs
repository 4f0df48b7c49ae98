//! What every adapter must do, as stories that an adapter's test tells of its own store.
//!
//! A story goes through the ports alone, so the same words hold both adapters. An adapter calls the macro of a suite once in its test
//! binary and gets one test a story:
//!
//! ```ignore
//! conformance::ledger_suite!(crate::a_fresh_ledger());
//! ```
//!
//! The expression is evaluated for each story, inside a module of its own (so name things by absolute path), and is a future of
//! `(Fixture, cleanup)`: the ports on an empty store with the default tiers, and a future that removes the store, run after the story
//! however it ended. Clocks are never moved here: a lease lapses because it was renewed for no time, a deadline passes because it was at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a story that cannot go on fails its test")]

pub mod accounts;
pub mod canceling;
pub mod claiming;
pub mod credits;
pub mod doorbell;
pub mod dying;
pub mod fixture;
pub mod gateways;
pub mod keys;
pub mod limiter;
pub mod months;
pub mod operating;
pub mod pool;
pub mod reading;
pub mod retention;
pub mod retrying;
pub mod scaling;
pub mod settling;
pub mod submitting;
pub mod verifying;

pub use fixture::{Customer, Fixture, Worker, tell};

/// The stories about the ledger: `Accounts`, `Generations`, `Work`, `Tokens`, `Scaling` and its clock.
#[macro_export]
macro_rules! ledger_suite {
    ($ledger:expr) => {
        $crate::stories! { $ledger;
            submitting {
                what_is_accepted_is_on_record,
                a_key_replays_and_is_charged_once,
                a_key_belongs_to_its_account,
                a_key_holds_within_one_batch,
                one_key_at_once_from_many_gateways_is_accepted_once,
                each_item_of_a_batch_has_its_own_outcome,
                fifty_at_once_spend_exactly_the_balance,
                the_months_quota_binds_before_the_credits,
                the_same_ids_again_are_accepted_and_charged_once,
                the_system_account_pays_nothing,
                an_empty_batch_is_nothing,
            }
            credits {
                an_untouched_account_shows_its_months_credits,
                granted_credits_are_spent_before_purchased_ones,
                a_top_up_counts_once,
                a_rise_grants_the_difference_once,
                a_rise_before_the_first_debit_grants_nothing_twice,
                a_refund_goes_back_where_it_came_from,
                entries_come_in_pages_and_add_up,
                nobody_has_no_credits,
            }
            accounts {
                an_account_is_shown_as_it_was_made,
                what_changes_changes_and_the_rest_stays,
                a_suspended_account_is_refused_and_what_it_had_still_ends,
                accounts_are_found_by_tier_and_text,
                accounts_come_in_pages,
                a_change_of_share_retags_what_waits,
                the_ledgers_clock_never_goes_back,
            }
            keys {
                a_key_lives_from_its_making_to_its_end,
                an_expired_key_does_not_authenticate,
                a_rotated_key_overlaps,
                a_key_that_has_ended_is_not_rotated,
                another_accounts_key_cannot_be_ended,
                the_system_account_has_one_key,
                gateways_that_start_at_once_make_one_system_account,
            }
            operating {
                the_audit_trail_is_dated_by_the_ledger,
                what_is_refused_is_not_told,
                an_order_s_key_is_carried_out_once,
                of_many_orders_with_one_key_one_is_carried_out,
                a_refused_order_frees_its_key,
                an_operator_cancels_what_any_customer_has,
            }
            claiming {
                a_claim_carries_all_that_submitting_takes,
                two_workers_never_claim_the_same,
                a_newcomer_stands_before_a_backlog,
                turns_are_taken_by_share,
                virtual_time_is_moved_by_the_step_and_never_back,
                nothing_is_claimed_while_paused,
                a_worker_without_a_standing_lease_claims_nothing,
                a_draining_worker_claims_nothing,
                workers_are_listed_while_their_lease_stands,
            }
            settling {
                a_success_touches_no_account,
                a_failure_is_refunded_once,
                what_is_settled_never_changes,
                of_many_settlements_at_once_one_holds,
                a_batch_settles_each_for_itself,
                an_upstream_that_completes_at_once_needs_no_rendering,
                a_render_is_recorded_once,
            }
            canceling {
                waiting_work_is_canceled_and_gone,
                work_in_backoff_is_canceled_and_gone,
                owned_work_is_closed_by_its_worker,
                a_render_is_closed_by_its_worker,
                a_cancel_between_the_upstreams_answer_and_its_record_keeps_the_upstreams_id,
                a_final_generation_is_not_canceled,
                somebody_elses_is_not_found,
                a_deadline_gives_up_and_refunds,
                of_cancel_and_settle_exactly_one_wins,
            }
            retrying {
                what_is_put_back_without_an_attempt_costs_none,
                a_retry_keeps_its_turn_and_counts_its_attempt,
                a_submission_whose_answer_was_lost_belongs_to_its_token,
                backoff_is_not_claimed_until_it_is_due,
                backoff_that_is_due_is_promoted_by_the_step,
                a_render_that_is_put_back_starts_over,
                a_stale_put_back_changes_nothing,
            }
            dying {
                a_dead_workers_submission_is_put_back_in_doubt,
                a_worker_that_was_out_of_touch_itself_finds_nobody_dead,
                a_dead_workers_render_is_adopted_and_its_own_writes_are_stale,
                a_retired_workers_renders_are_adopted_at_once,
                adopters_at_once_take_each_render_once,
                closing_work_is_adopted_too,
                a_generation_that_kills_its_workers_fails,
                a_dead_worker_never_revives,
                what_its_owner_does_not_know_of_is_taken_over_anew,
                adoption_takes_no_more_than_asked,
                a_lapsed_worker_adopts_nothing,
                a_worker_sees_what_the_ledger_says_it_holds,
                a_worker_that_was_asked_to_drain_hears_it,
            }
            reading {
                pages_neither_skip_nor_repeat,
                filters_narrow_and_scopes_hold,
                milestones_are_kept_for_those_who_come_back,
                waiting_says_on_what,
                the_queue_is_counted,
                the_backlog_is_counted_by_account,
                a_place_counts_what_goes_before,
                history_tells_each_try,
            }
            verifying {
                random_histories_add_up,
                verification_goes_by_pages,
            }
            retention {
                history_is_trimmed_to_the_newest,
                old_results_go_and_open_ones_stay,
                recent_keys_still_replay,
            }
            pool {
                one_replica_leads_and_the_other_follows,
                a_new_leader_raises_the_epoch_and_the_old_one_is_refused,
                replicas_at_once_elect_one_leader,
                an_import_answers_each_token,
                tokens_that_do_not_count_make_room,
                states_are_kept,
                a_secret_is_sealed_anew_and_nothing_else_changes,
                live_work_names_its_leases,
            }
            scaling {
                one_replica_leads_the_scaling,
                replicas_at_once_elect_one_scaler,
                only_the_leader_writes_the_decision,
                workers_and_their_cpu_are_measured,
                what_waits_is_measured_apart_from_what_is_due,
                free_leases_are_what_usable_tokens_have_left,
            }
        }
    };
}

/// The stories about a month that passes. The expression is a future of `(Fixture, Past, cleanup)`.
#[macro_export]
macro_rules! months_suite {
    ($ledger:expr) => {
        $crate::months_suite! { $ledger;
            what_is_left_of_a_grant_lapses_and_what_was_bought_stays,
            a_refund_of_a_past_month_lapses_with_it,
            a_new_month_has_its_own_quota,
        }
    };
    ($ledger:expr; $($story:ident),* $(,)?) => {
        mod months {
            $(
                #[tokio::test]
                async fn $story() {
                    let (fixture, past, cleanup) = $ledger.await;
                    $crate::tell((fixture, cleanup), async |at| $crate::months::$story(at, &past).await).await;
                }
            )*
        }
    };
}

/// One test a story, a module a suite.
#[doc(hidden)]
#[macro_export]
macro_rules! stories {
    ($fresh:expr; $($suite:ident { $($story:ident),* $(,)? })*) => {
        $(
            mod $suite {
                $(
                    #[tokio::test]
                    async fn $story() {
                        $crate::tell($fresh.await, $crate::$suite::$story).await;
                    }
                )*
            }
        )*
    };
}
