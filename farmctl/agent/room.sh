# Furnishes a room inside new namespaces, locks it and runs a command in it. Used where
# bubblewrap is not installed; see farmctl/agent/sandbox.py.
#
# room.sh ROOT JOB TEMPORARY_BYTES {bind SOURCE PLACE | link TARGET PLACE}… -- COMMAND…
set -e
root=$1 job=$2 temporary_bytes=$3
shift 3

mount -t tmpfs -o size=16m,mode=755,nosuid none "$root"
# Before the rest: the Python environment may lie below /tmp.
mkdir "$root/tmp"
mount -t tmpfs -o "size=$temporary_bytes,nosuid,nodev" none "$root/tmp"
while [ "$1" != -- ]; do
    mkdir -p "$root$(dirname "$3")"
    if [ "$1" = link ]; then
        ln -s "$2" "$root$3"
    elif [ -e "$2" ]; then
        if [ -d "$2" ]; then mkdir -p "$root$3"; else : >"$root$3"; fi
        mount --rbind "$2" "$root$3"
        mount -o remount,bind,ro "$root$3"
    fi
    shift 3
done
shift

mkdir "$root/proc" "$root/dev" "$root/old" "$root/job"
mount -t proc proc "$root/proc"
for device in null zero random urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$job" "$root/job"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
mount -o remount,ro /
cd /job
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$@"
