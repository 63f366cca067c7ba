-- The read models have a file of their own, so that appends do not wait for folds: log-models.db, made anew from the log.
DROP TABLE projections;
DROP TABLE leases;
