#!/bin/busybox sh
# The guest's first process: it sets what the kernel must allow, measures once, and powers off.
# Words in capitals are placeholders.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
$bb ip link set lo up
set_to() { echo "$2" >/proc/sys/$1; }

# Descriptors: in all, the limit for a process, and those that epoll may watch.
set_to fs/file-max 100000000
set_to fs/nr_open FILES
set_to fs/epoll/max_user_watches 100000000
ulimit -n FILES

# TCP: any share of memory (in pages), all ports for clients, and long queues, because an emulated
# processor is slow.
set_to net/ipv4/tcp_mem "100000000 100000000 100000000"
set_to net/ipv4/ip_local_port_range "1024 65535"
set_to net/core/somaxconn 65535
set_to net/ipv4/tcp_max_syn_backlog 65535
set_to net/core/netdev_max_backlog 1000000

# The client has one processor, so a second thread would only disturb the first. A GOGC of 50 keeps
# its memory small.
GOMAXPROCS=1 GOGC=50 /million ARGS
$bb poweroff -f
