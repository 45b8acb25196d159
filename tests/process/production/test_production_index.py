"""Which tests hold the process, lease and configuration faults of reliability.md §2, and the rolling upgrade.

Each fault is listed with the test of the deployed pair first, if it has one there, and then with those that
hold it closer to where it is decided. A test that is renamed or removed without this list fails here.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
LAST = 37
PRODUCTION = "process/production/test_production_"

FAULTS = {
    19: (
        f"{PRODUCTION}hosts.py::test_19_a_host_that_is_killed_again_and_again_in_the_middle_of_its_work_finishes_it",
        "process/daemon/test_daemon_hosts.py"
        "::test_a_host_killed_in_the_middle_of_its_work_goes_on_without_a_list_or_a_pod_too_many",
        "sandbox/test_daemon_faults.py::test_a_host_that_is_killed_comes_back_without_asking_for_a_list",
        "sandbox/test_replicaset_crash.py::test_a_crash_after_any_write_changes_nothing_of_the_end",
    ),
    20: (
        f"{PRODUCTION}processes.py::test_20_21_a_manager_that_is_killed_takes_its_hosts_along_and_its_lost_pod_"
        "is_succeeded_and_replaced",
        "process/daemon/test_daemon_leadership.py"
        "::test_the_hosts_of_a_manager_that_is_killed_are_gone_at_once",
    ),
    21: (
        f"{PRODUCTION}processes.py::test_20_21_a_manager_that_is_killed_takes_its_hosts_along_and_its_lost_pod_"
        "is_succeeded_and_replaced",
        "sandbox/test_daemon_faults.py"
        "::test_a_leader_that_is_killed_is_followed_within_the_lease_and_two_seconds",
        "machine/test_election_driver.py::test_a_killed_leader_is_succeeded_when_its_lease_expires",
    ),
    22: (
        f"{PRODUCTION}processes.py"
        "::test_22_a_leader_that_is_paused_for_longer_than_its_lease_wakes_up_to_nothing_it_may_do",
        f"{PRODUCTION}processes.py"
        "::test_22_hosts_whose_manager_is_paused_stop_by_themselves_before_anybody_else_may_write",
        "process/daemon/test_daemon_leadership.py"
        "::test_a_leader_that_was_paused_for_longer_than_its_lease_writes_nothing_when_it_wakes",
        "machine/test_election_machine.py"
        "::test_a_stopped_leader_is_succeeded_in_time_and_does_not_lead_when_it_wakes",
    ),
    23: (
        f"{PRODUCTION}processes.py"
        "::test_23_a_paused_host_is_dead_before_the_lease_that_it_may_write_under_is_given_away",
        "process/daemon/test_daemon_hosts.py::test_a_host_that_is_paused_is_killed_at_its_deadline",
        "machine/test_election_driver.py"
        "::test_the_lease_is_not_released_before_work_has_ended_and_is_renewed_meanwhile",
    ),
    # The clock of the machine runs on while it sleeps; no process can be put to sleep alone.
    24: (
        "machine/test_runtime_fence.py"
        "::test_a_machine_that_was_suspended_past_the_deadline_writes_nothing_when_it_wakes",
        "machine/test_election_driver.py::test_the_first_thing_after_a_suspension_is_to_stop_leading",
    ),
    25: (
        f"{PRODUCTION}hosts.py"
        "::test_25_26_28_a_host_that_has_to_be_ended_costs_neither_the_lease_nor_another_controller_s_work",
        "process/daemon/test_isolation.py::test_a_host_that_goes_down_takes_nobody_along",
        "process/daemon/test_isolation.py::test_one_allocation_far_beyond_the_limit_of_memory_fails_alone",
    ),
    26: (
        f"{PRODUCTION}hosts.py"
        "::test_25_26_28_a_host_that_has_to_be_ended_costs_neither_the_lease_nor_another_controller_s_work",
        "process/daemon/test_isolation.py::test_a_host_that_goes_down_takes_nobody_along",
    ),
    27: (
        f"{PRODUCTION}hosts.py::test_27_a_reconcile_that_hangs_is_cut_off_and_its_host_works_on",
        "process/daemon/test_isolation.py::test_a_reconcile_that_hangs_is_cut_off_and_holds_only_its_key",
    ),
    28: (
        f"{PRODUCTION}hosts.py"
        "::test_25_26_28_a_host_that_has_to_be_ended_costs_neither_the_lease_nor_another_controller_s_work",
        "process/daemon/test_daemon_hosts.py::test_a_host_whose_loop_is_blocked_is_killed_at_its_deadline",
    ),
    29: (f"{PRODUCTION}hunger.py::test_29_30_a_leader_without_descriptors_and_with_a_full_disk_leads_on",),
    30: (
        f"{PRODUCTION}hunger.py::test_29_30_a_leader_without_descriptors_and_with_a_full_disk_leads_on",
        "process/daemon/test_daemon_muted.py::test_nothing_waits_for_a_log_that_nobody_reads",
        "unit/test_telemetry_logging.py::test_a_blocked_stream_stops_nobody_and_the_loss_is_counted",
        "unit/test_telemetry_logging.py::test_what_a_full_disk_refused_is_said_when_there_is_room_again",
    ),
    # The feed is a pair of sockets: frames are lost only with their host's channel, which ends the host.
    31: (
        "process/daemon/test_daemon_hosts.py::test_a_host_that_talks_rubbish_is_started_again_and_not_obeyed",
        "unit/test_cache_feed.py::test_frames_arrive_whole_however_the_stream_is_cut",
        "unit/test_cache_feed.py::test_a_broken_stream_ends_the_channel_once_with_a_reason",
        "unit/test_cache_replica.py::test_late_and_repeated_events_are_dropped_and_counted",
        "unit/test_cache_replica.py::test_a_replace_that_is_begun_anew_forgets_the_first_attempt",
    ),
    32: (
        f"{PRODUCTION}network.py"
        "::test_32_a_leader_that_is_cut_off_is_succeeded_and_what_it_left_on_the_way_changes_nothing",
        "sandbox/test_daemon_faults.py"
        "::test_a_leader_cut_off_from_the_server_writes_nothing_after_its_deadline",
        "machine/test_client_withdrawal.py::test_a_write_whose_time_is_out_is_taken_back",
        "machine/test_client_withdrawal.py::test_a_process_that_is_killed_takes_back_what_was_not_answered",
        "machine/test_election_driver.py"
        "::test_a_leader_cut_off_stops_by_its_deadline_and_before_its_successor_starts",
    ),
    33: (
        f"{PRODUCTION}hunger.py"
        "::test_33_metrics_that_cannot_be_reached_cost_autoscalers_their_news_and_nobody_else_anything",
        "sandbox/test_hpa_loop.py::test_an_outage_of_the_metrics_holds_the_size_and_is_told",
        "sandbox/test_hpa_loop.py::test_a_slow_metrics_api_holds_up_only_who_asks_it",
    ),
    34: (
        f"{PRODUCTION}hunger.py"
        "::test_34_37_tokens_that_are_refused_torn_and_replaced_on_a_server_of_another_time_restart_nobody",
        "sandbox/test_daemon_stress.py::test_a_manager_whose_time_of_day_is_set_leads_on_and_touches_no_pod",
        "machine/test_election_driver.py::test_steps_of_the_wall_clock_change_nothing",
    ),
    # No process can be given a clock of another rate.
    35: ("machine/test_election_driver.py::test_clocks_that_run_at_rates_of_7_to_5_never_make_two_leaders",),
    36: (
        "process/daemon/test_cli_refusals.py"
        "::test_a_configuration_that_cannot_work_is_refused_with_file_key_and_reason",
        "process/daemon/test_cli_refusals.py"
        "::test_a_kubeconfig_that_cannot_be_used_is_refused_with_key_and_reason",
        "sandbox/test_live_configuration.py::test_a_file_that_cannot_be_is_refused_and_the_old_one_stays",
    ),
    37: (
        f"{PRODUCTION}hunger.py"
        "::test_34_37_tokens_that_are_refused_torn_and_replaced_on_a_server_of_another_time_restart_nobody",
        "machine/test_client_login.py"
        "::test_a_new_token_is_seen_in_time_and_a_torn_one_leaves_the_old_in_force",
        "machine/test_client_login.py::test_a_half_written_authority_is_not_taken",
        "machine/test_client_http.py::test_a_401_is_cured_once_by_newer_credentials",
        "machine/test_client_rotation.py"
        "::test_authority_certificate_and_key_are_replaced_together_or_not_at_all",
        "machine/test_client_rotation.py"
        "::test_another_token_in_the_kubeconfig_is_used_and_another_way_to_log_in_is_not",
    ),
}
UPGRADE = (
    f"{PRODUCTION}upgrade.py::test_a_rolling_upgrade_under_continuous_scaling_loses_no_key_and_hands_over",
    f"{PRODUCTION}upgrade.py::test_an_upgrade_that_cannot_work_replaces_nothing_and_can_be_undone",
)


def is_there(test):
    """Say whether there is such a test."""
    file, _, name = test.partition("::")
    path = TESTS / file
    return path.exists() and re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("fault", range(19, LAST + 1))
def test_every_fault_of_processes_lease_and_configuration_is_held_by_tests_that_are_there(fault):
    assert FAULTS[fault]
    assert [test for test in FAULTS[fault] if not is_there(test)] == []


def test_the_rolling_upgrade_is_held_by_a_test_that_is_there():
    assert [test for test in UPGRADE if not is_there(test)] == []
