"""Drives a volume's life over the manager's XML-RPC API, as a cloud driver does, and checks the shape of each answer.

Usage: drive-manager.py URL HSVRID
Shapes are those of the storage manager API reference: members and their types. Members beyond them are allowed.
"""

import sys
import xmlrpc.client

VER = 5
ENOENT, EBUSY, EEXIST, EINVAL, EPROTO = 2, 16, 17, 22, 71

VOLUME = dict(
    hsvrid=int, lvolid=int, lvolname=str, redundancy=int, capacity=int, associated_to=list,
    associated_from=list, fault=bool, bind_status=int, bind_event=int, ctime=str,
)
NODE = dict(lvolid=int, lvoltype=int, capacity=int, mirror_status=int, lvolspec=dict, labels=list, components=list)
HEAD = dict(hsvrid=int, priority=int, ip_data=list, resync=int)
STORAGE = dict(ssvrid=int, priority=int, ip_data=list, resync=int, available=int, capacity=int)
DISK = dict(
    ssvrid=int, pdskid=int, priority=int, iscsi_path=list, local_path=str, available=int, capacity=int,
)


def has_shape(value, shape):
    assert isinstance(value, dict), value
    for member, kind in shape.items():
        # bool is a subclass of int in Python and is not an int on the wire.
        assert type(value.get(member)) is kind, (member, kind, value)


def refused(code, method, **params):
    try:
        method(dict(ver=VER, **params))
    except xmlrpc.client.Fault as fault:
        assert fault.faultCode == code, fault
        return
    raise AssertionError("not refused")


def check_tree(tree, lvolid):
    has_shape(tree, NODE)
    assert (tree["lvolid"], tree["lvoltype"], tree["capacity"]) == (lvolid, 0, 2), tree
    has_shape(tree["lvolspec"], dict(lvolname=str, redundancy=int, assoc=list, ctime=str))
    (linear,) = tree["components"]
    has_shape(linear, NODE)
    assert linear["lvoltype"] == 1 and linear["capacity"] == 2, linear
    assert sum(mirror["capacity"] for mirror in linear["components"]) == 2, linear
    for mirror in linear["components"]:
        has_shape(mirror, NODE)
        assert mirror["lvoltype"] == 2, mirror
        assert len(mirror["components"]) == 3, mirror
        for extent in mirror["components"]:
            has_shape(extent, NODE)
            assert extent["lvoltype"] == 3 and extent["components"] == [], extent
            assert extent["mirror_status"] == 2, extent
            has_shape(extent["lvolspec"], dict(pdskid=int, offset=int, ssvrid=int, iscsi_path=list))
        servers = [extent["lvolspec"]["ssvrid"] for extent in mirror["components"]]
        assert len(set(servers)) == 3, servers


def check_snapshot(manager, volume, lvolid, hsvrid):
    snapshot = manager.createSnapshot(dict(ver=VER, origin_lvolid=lvolid, snapshot_lvolname="python-snapshot"))
    assert type(snapshot) is int and snapshot > 0, snapshot
    refused(EEXIST, manager.createSnapshot, origin_lvolname="python", snapshot_lvolname="python-snapshot")
    refused(EINVAL, manager.createSnapshot, origin_lvolid=snapshot, snapshot_lvolname="another")
    shown = volume(snapshot)
    assert (shown["hsvrid"], shown["bind_status"], shown["capacity"]) == (hsvrid, 1, 3), shown
    assert shown["associated_to"] == [dict(lvolid=lvolid, type="snapshot")], shown
    assert volume(lvolid)["associated_from"] == [dict(lvolid=snapshot, type="snapshot")]
    origin = manager.showLogicalVolume(dict(ver=VER, lvolid=lvolid))
    (assoc,) = origin["lvolspec"]["assoc"]
    for tree, kind in ((origin, 6), (assoc, 7)):
        has_shape(tree, NODE)
        (layer,) = tree["components"]
        has_shape(layer, NODE)
        assert layer["lvoltype"] == kind, layer
        (linear,) = layer["components"]
        assert linear["lvoltype"] == 1 and linear["capacity"] == tree["capacity"], linear
    assert assoc["components"][0]["lvolspec"] == dict(origin_lvolid=origin["components"][0]["lvolid"]), assoc
    for method in (manager.detachLogicalVolume, manager.attachLogicalVolume):
        refused(EINVAL, method, lvolid=snapshot, hsvrid=hsvrid)
    refused(EBUSY, manager.deleteLogicalVolume, lvolid=lvolid)
    assert manager.deleteLogicalVolume(dict(ver=VER, lvolname="python-snapshot")) == 0
    refused(ENOENT, manager.showLogicalVolume, lvolid=snapshot)


def main(url, hsvrid):
    manager = xmlrpc.client.ServerProxy(url)

    def volume(lvolid):
        (found,) = manager.listLogicalVolumes(dict(ver=VER, lvolid=lvolid))
        has_shape(found, VOLUME)
        return found

    for head in manager.listHeadServers(dict(ver=VER)):
        has_shape(head, HEAD)
    for server in manager.listStorageServers(dict(ver=VER)):
        has_shape(server, STORAGE)
    for disk in manager.listPhysicalDisks(dict(ver=VER)):
        has_shape(disk, DISK)

    lvolid = manager.createLogicalVolume(dict(ver=VER, lvolname="python", capacity=2))
    assert type(lvolid) is int and lvolid > 0, lvolid
    refused(EEXIST, manager.createLogicalVolume, lvolname="python", capacity=1)
    created = volume(lvolid)
    assert created["lvolname"] == "python" and created["redundancy"] == 3, created
    assert (created["hsvrid"], created["bind_status"], created["bind_event"]) == (0, 0, 0), created
    assert created["fault"] is False, created

    refused(EINVAL, manager.attachLogicalVolume, lvolid=lvolid, hsvrid=999999)
    assert manager.attachLogicalVolume(dict(ver=VER, lvolid=lvolid, hsvrid=hsvrid)) == 0
    refused(EBUSY, manager.attachLogicalVolume, lvolname="python", hsvrid=hsvrid)
    attached = volume(lvolid)
    assert (attached["hsvrid"], attached["bind_status"]) == (hsvrid, 1), attached
    assert [v["lvolid"] for v in manager.listLogicalVolumes(dict(ver=VER, lvolname="python"))] == [lvolid]
    check_tree(manager.showLogicalVolume(dict(ver=VER, lvolname="python")), lvolid)
    refused(EBUSY, manager.deleteLogicalVolume, lvolid=lvolid)

    check_snapshot(manager, volume, lvolid, hsvrid)
    assert manager.detachLogicalVolume(dict(ver=VER, lvolid=lvolid)) == 0
    assert manager.detachLogicalVolume(dict(ver=VER, lvolname="python")) == 0, "detaching twice is no error"
    assert volume(lvolid)["hsvrid"] == 0
    assert manager.deleteLogicalVolume(dict(ver=VER, lvolid=lvolid)) == 0
    refused(ENOENT, manager.showLogicalVolume, lvolid=lvolid)
    assert manager.listLogicalVolumes(dict(ver=VER)) == []

    try:
        manager.listLogicalVolumes(dict(ver=4))
        raise AssertionError("another version was accepted")
    except xmlrpc.client.Fault as fault:
        assert fault.faultCode == EPROTO, fault
    print("all shapes are right")


main(sys.argv[1], int(sys.argv[2]))
