"""The order of lifecycle events, with and without a load balancer (codepipeline.md 4.2)."""

from agent.deploy.lifecycle import RESERVED, SCRIPTED, events, within

CORE = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService"]


def names(found):
    return [one.name for one in found]


def test_the_order():
    assert names(events()) == CORE
    assert names(events(traffic=True)) == [
        *("BeforeBlockTraffic", "BlockTraffic", "AfterBlockTraffic"),
        *CORE,
        *("BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"),
    ]


def test_what_runs_while_there_is_no_traffic():
    assert names(within(traffic=False, ignore_stop_failure=True)) == CORE
    assert names(within(traffic=True, ignore_stop_failure=True)) == ["AfterBlockTraffic", *CORE, "BeforeAllowTraffic"]


def test_stopping_is_the_former_revisions_business_and_may_fail():
    former = [one.name for one in events(traffic=True) if one.former]
    assert former == ["BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop"]
    assert [one.name for one in events(traffic=True) if one.may_fail] == former
    assert not any(one.may_fail for one in events(traffic=True, ignore_stop_failure=False))


def test_scripts_are_for_all_but_reserved_events():
    assert set(names(events(traffic=True))) <= set(SCRIPTED) | set(RESERVED)
    assert not set(SCRIPTED) & set(RESERVED)
