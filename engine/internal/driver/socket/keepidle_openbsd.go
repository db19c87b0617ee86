package socket

const keepIdle, keepInterval, keepCount = 0, 0, 0
