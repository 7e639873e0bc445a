-- The jobs of one tenant, the newest first, however many others have: tenants look at their own.

CREATE INDEX lamp_jobs_of_tenant ON lamp_jobs (tenant, id) WHERE tenant IS NOT NULL;
CREATE INDEX lamp_ended_of_tenant ON lamp_ended (tenant, state, id) WHERE tenant IS NOT NULL;
