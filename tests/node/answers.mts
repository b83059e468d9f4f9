// What the fakes answer, in the vendors' types. Tests put constants of these types below it and have it compiled.
import type { gmail_v1 } from "@googleapis/gmail";
import type * as graph from "@microsoft/microsoft-graph-types";
import type * as jmap from "jmap-rfc-types";

// Graph's types leave out what OData adds to every object and page.
type Noted<T> = T & { "@odata.context"?: string; "@odata.etag"?: string };
type Removed = { id: string; "@removed": { reason: "changed" | "deleted" } };
type Page<T> = {
  "@odata.context": string;
  "@odata.count"?: number;
  "@odata.nextLink"?: string;
  "@odata.deltaLink"?: string;
  value: (Noted<T> | Removed)[];
};
type MessageCollectionResponse = Page<graph.Message>;
type DeltaGetResponse = Page<graph.Message>;
type MailFolderCollectionResponse = Page<graph.MailFolder>;
type Message = Noted<graph.Message>;
type MailFolder = Noted<graph.MailFolder>;

// Which properties there are is for the client to ask.
type Got<T> = { accountId: string; state: string; list: Partial<T>[]; notFound: string[] };
type Mailbox_get = Got<jmap.Mailbox>;
type Email_get = Got<jmap.Email>;
type Email_query = jmap.QueryResponse;
type Email_changes = jmap.ChangesResponse;
// All of them are there, and null when they hold nothing (RFC 8620 §5.3).
type Everything = { accountId: string; create: {}; update: Record<string, {}>; destroy: string[] };
type Set = jmap.SetResponse<jmap.Email, Everything>;
type Email_set = { [Name in keyof Set]: Set[Name] | null };
type error = { type: string; description?: string };
type Session = jmap.Session;
