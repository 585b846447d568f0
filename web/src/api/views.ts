/** Short names for the bodies of the HTTP API, as generated from its OpenAPI document. */
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Audit = Schemas["AuditView"];
export type Balance = Schemas["BalanceView"];
export type Block = Schemas["BlockView"];
export type Device = Schemas["DeviceView"];
export type FarmEvent = Schemas["EventView"];
export type Invoice = Schemas["InvoiceView"];
export type Job = Schemas["JobView"];
export type LedgerEntry = Schemas["LedgerEntryView"];
export type Likeness = Schemas["LikenessView"];
export type Model = Schemas["ModelView"];
export type ModelCache = Schemas["ModelCacheView"];
export type ModelDetail = Schemas["ModelDetailView"];
export type Node = Schemas["NodeView"];
export type Offer = Schemas["OfferView"];
export type Overview = Schemas["OverviewView"];
export type Peer = Schemas["PeerView"];
export type Plan = Schemas["PlanView"];
export type Quote = Schemas["QuoteView"];
export type Rig = Schemas["RigView"];
export type Series = Schemas["SeriesView"];
export type Session = Schemas["SessionView"];
export type StateCounts = Schemas["StateCounts"];
export type Switch = Schemas["SwitchView"];
export type Workload = Schemas["Workload"];
export type State = Device["state"];
