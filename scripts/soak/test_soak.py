"""Tests of how a soak judges: python3 -B -m unittest, in this folder."""

import random
import unittest
import xml.etree.ElementTree

import chart
import flat
from endpoints import Endpoints
from faults import Faults
from runs import Run
from viewers import Viewer, merge_patch


def sample(at, memory, size=1_000_000, **others):
    server = {"memory": memory, "files": 40, "sessions": 30, "age": at, "start": 1, "cpu": at / 10}
    return {
        "at": at,
        "servers": {"a": server, "b": None if at % 600 < 20 else server},
        "commands": {"number": 10, "p50": 0.002, "p99": 0.02},
        "lag": {"number": 10, "p50": 0.003, "p99": None},
        "postgresMemory": 200_000_000,
        "postgresShared": 100_000_000,
        "connections": 30,
        "sessions": 100,
        "events": 4000,
        "sent": 10 * at,
        "tables": {"sessions": [size, 100, 20], "ended_runs": [330 * (1000 + at), 0, 0]},
        "rows": {"ended_runs": 1000 + at},
        **others,
    }


class Slopes(unittest.TestCase):
    def test_a_line(self):
        points = [(at, 5 + at * 2 / 3600) for at in range(0, 3600, 5)]
        self.assertAlmostEqual(flat.slope_per_hour(points), 2, places=6)

    def test_bursts_do_not_move_it(self):
        random.seed(1)
        points = [(at, 100 + random.uniform(-1, 1) + (80 if at % 180 < 20 else 0)) for at in range(0, 2700, 5)]
        self.assertLess(abs(flat.slope_per_hour(points)), 0.5)

    def test_nothing_and_one_point(self):
        self.assertEqual(flat.slope_per_hour([]), 0)
        self.assertEqual(flat.slope_per_hour([(1, 5)]), 0)


class Judgements(unittest.TestCase):
    def judge(self, samples):
        found = [series.judge(samples) for series in flat.all_series("a", {"ended_runs": "for ever"})]
        return {judgement.series.name for judgement in found if judgement and not judgement.is_flat}

    def test_flat(self):
        self.assertEqual(self.judge([sample(at, 60 * flat.MIB) for at in range(0, 3600, 5)]), set())

    def test_what_grows_at_the_beginning_is_not_counted(self):
        grows = [sample(at, min(60, 20 + at / 15) * flat.MIB) for at in range(0, 3600, 5)]
        self.assertEqual(self.judge(grows), set())

    def test_a_leak_of_memory(self):
        leak = [sample(at, (60 + at / 3600 * 8) * flat.MIB) for at in range(0, 3600, 5)]
        self.assertEqual(self.judge(leak), {"server a: memory"})

    def test_a_table_that_grows(self):
        grows = [sample(at, 60 * flat.MIB, size=(20 + at / 300) * flat.MIB) for at in range(0, 3600, 5)]
        self.assertEqual(self.judge(grows), {"tables whose rows are deleted"})

    def test_rows_that_are_kept_may_be_more_but_not_larger(self):
        def kept(at):
            rows = 1000 + at
            return {"tables": {"sessions": [1, 1, 1], "ended_runs": [rows * (300 + at / 10), 0, 0]}}

        larger = [sample(at, 60 * flat.MIB, **kept(at)) for at in range(0, 3600, 5)]
        self.assertEqual(self.judge(larger), {"a row of ended_runs"})


class Charts(unittest.TestCase):
    def test_it_is_an_image_of_a_bounded_size(self):
        samples = [sample(at, (60 + at / 1000) * flat.MIB) for at in range(0, 36_000, 5)]
        drawn = chart.draw(chart.panels("ab", {"ended_runs": ""}), samples, [600, 1200], "A <soak>")
        root = xml.etree.ElementTree.fromstring(drawn)
        self.assertEqual(root.find("{http://www.w3.org/2000/svg}title").text, "A <soak>")
        self.assertLess(len(drawn), 60_000)

    def test_tops(self):
        self.assertEqual([chart.nice_top(value) for value in (0, 0.03, 1, 7, 61, 150)], [1, 0.04, 1, 8, 80, 200])


class Quiet(Faults):
    """Faults that are wanted are not printed."""

    def add(self, text):
        self.number += 1
        self.shown.append(text)


class World:
    def __init__(self):
        self.faults, self.fleet = Quiet(), None
        self.measures = type("Measures", (), {"checked": 0, "lag": []})()


def recorded(*events):
    return [{"revision": number, "event": event} for number, event in enumerate(events, 1)]


class Journals(unittest.TestCase):
    CREATED, STARTED, COMPLETED = {"type": "created"}, {"type": "started"}, {"type": "completed"}
    SEEN = {"type": "driverSeen", "leaseSeconds": 30}

    def faults(self, acknowledged, events):
        run = Run(World(), "t")
        run.id, run.acknowledged = "s", acknowledged
        run.compare_journal(events)
        return run.faults.shown

    def test_as_acknowledged(self):
        events = recorded(self.CREATED, self.SEEN, self.STARTED, self.COMPLETED)
        self.assertEqual(self.faults([(3, [self.STARTED]), (4, [self.COMPLETED])], events), [])

    def test_one_lost(self):
        events = recorded(self.CREATED, self.STARTED)
        self.assertRegex(
            self.faults([(2, [self.STARTED]), (3, [self.COMPLETED])], events)[0], "2 commands were ack.* 1 ev"
        )

    def test_one_twice(self):
        context = {"type": "contextSet", "key": "k", "value": 1}
        events = recorded(self.CREATED, self.STARTED, context, context)
        self.assertRegex(self.faults([(2, [self.STARTED]), (3, [context])], events)[0], "2 commands were ack.* 3 ev")

    def test_another_one(self):
        events = recorded(self.CREATED, self.COMPLETED)
        self.assertRegex(self.faults([(2, [self.STARTED])], events)[0], "was acknowledged")

    def test_another_revision(self):
        events = recorded(self.CREATED, self.SEEN, self.STARTED)
        self.assertRegex(self.faults([(2, [self.STARTED])], events)[0], "acknowledged at 2, stored at 3")

    def test_a_gap(self):
        events = recorded(self.CREATED, self.STARTED)
        events[1]["revision"] = 3
        self.assertRegex(self.faults([(3, [self.STARTED])], events)[0], "revision 3 is at place 2")


class Shown(unittest.TestCase):
    def viewer(self, mode):
        viewer = Viewer.__new__(Viewer)
        viewer.faults, viewer.measures, viewer.mode, viewer.session = Quiet(), World().measures, mode, "s"
        viewer.transport, viewer.interval, viewer.sent, viewer.connected_at = "socket", 0, {}, 0
        viewer.revision, viewer.state, viewer.events, viewer.messages, viewer.is_done = 0, None, [], set(), False
        return viewer

    def faults(self, mode, *frames):
        viewer = self.viewer(mode)
        for frame in frames:
            viewer.take(frame)
        return viewer.faults.shown

    def test_events_in_order(self):
        frames = [{"type": "event", "revision": n, "event": {}} for n in (1, 2, 3)]
        self.assertEqual(self.faults("events", *frames), [])
        self.assertEqual(len(self.faults("events", frames[0], frames[2])), 1)
        self.assertEqual(len(self.faults("events", frames[0], frames[0])), 1)

    def test_states_never_go_back(self):
        frames = [{"type": "snapshot", "revision": n, "session": {}} for n in (4, 3)]
        self.assertEqual(len(self.faults("snapshot", *frames)), 1)

    def test_a_delta_fits(self):
        first = {"type": "snapshot", "revision": 4, "session": {"a": 1}}
        self.assertEqual(self.faults("delta", first, {"type": "delta", "base": 4, "revision": 6, "patch": {}}), [])
        self.assertEqual(len(self.faults("delta", first, {"type": "delta", "base": 5, "revision": 6, "patch": {}})), 1)

    def test_the_end_is_where_the_state_is(self):
        frames = [{"type": "snapshot", "revision": 4, "session": {}}, {"type": "end", "revision": 5}]
        self.assertEqual(len(self.faults("snapshot", *frames)), 1)


class Deliveries(unittest.TestCase):
    def test_each_end_is_delivered_in_either_order(self):
        endpoints = Endpoints(Quiet())
        endpoints.take("session.completed", {"id": "a"})
        endpoints.expect("a", "completed")
        endpoints.expect("b", "failed")
        self.assertEqual(endpoints.expected, {"b": "failed"})
        endpoints.take("session.failed", {"id": "b"})
        self.assertEqual((endpoints.expected, endpoints.faults.number), ({}, 0))

    def test_another_end(self):
        endpoints = Endpoints(Quiet())
        endpoints.expect("a", "failed")
        endpoints.take("session.completed", {"id": "a"})
        self.assertEqual(endpoints.faults.number, 1)

    def test_a_schedule_that_fires_twice(self):
        endpoints = Endpoints(Quiet())
        for session in ("a", "a", "b"):
            metadata = {"scheduleId": "s", "scheduledAt": "2026-01-01T00:00:00Z"}
            endpoints.take("session.completed", {"id": session, "metadata": metadata})
        self.assertEqual(endpoints.faults.number, 1)


class Patches(unittest.TestCase):
    def test_as_in_the_standard(self):
        self.assertEqual(merge_patch({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [1]}}), {"a": {"c": 2, "d": [1]}})
        self.assertEqual(merge_patch({"a": 1}, [2]), [2])


if __name__ == "__main__":
    unittest.main()
