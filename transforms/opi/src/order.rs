//! An order as values: what a person in accounting means, before any XML.
//!
//! [`read::read`] makes it from JSON; a value that exists has the right types, closed-list words and text limits. Whether
//! it makes sense is judged by [`crate::rules`].

pub(crate) mod fields;
pub(crate) mod read;
mod read_debt;
pub(crate) mod report;

use std::fmt;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::words::{
    BolloEntrata, BolloUscita, ContabilitaRicevente, Destinazione, EsclusioneCig, Gestione, Lingua, MotivoScadenza,
    NaturaSpesa, NotaDiCredito, Postalizzazione, Ricorrenza, SoggettoSpese, Tipo, TipoAnalogico, TipoDebito,
    TipoEntrata, TipoOperazione, TipoPagamento, TipoRiscossione, Word,
};

/// A payment order (mandato) or a collection order (reversale).
#[derive(Clone, Debug, PartialEq)]
pub struct Ordine {
    /// Insert it or cancel it.
    pub tipo_operazione: TipoOperazione,
    /// Counts how often the same operation on the same order was handed in: 1, then 2 after a rejection.
    pub revisione: u32,
    /// IPA office code of the body, 6 of `[A-Z0-9]`.
    pub ente: String,
    /// Budget year, 1999 to 2099.
    pub esercizio: u16,
    /// Number within the year and kind, 1 to 9999999.
    pub numero: u32,
    /// Date of the order.
    pub data: Date,
    /// Total, euro.
    pub importo: Decimal,
    /// Who asked for the payment; never one of those who approve it.
    pub richiedente: Option<String>,
    /// Sub-account at the treasurer.
    pub conto_evidenza: Option<String>,
    /// Budget lines.
    pub bilancio: Vec<Bilancio>,
    /// Whom it pays, or from whom it collects.
    pub contenuto: Contenuto,
}

/// What differs between the two kinds of order.
#[derive(Clone, Debug, PartialEq)]
pub enum Contenuto {
    /// A payment order.
    Mandato(Mandato),
    /// A collection order: its payers.
    Reversale(Vec<Versante>),
}

/// The parts that only a payment order has.
#[derive(Clone, Debug, PartialEq)]
pub struct Mandato {
    /// The act that authorises the payment.
    pub estremi_provvedimento: Option<String>,
    /// Who is responsible for the act.
    pub responsabile_provvedimento: Option<String>,
    /// Their office.
    pub ufficio_responsabile: Option<String>,
    /// Whom it pays.
    pub beneficiari: Vec<Beneficiario>,
}

/// What the parts of both kinds of order have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Parte {
    /// Number within the order, 1 to 9999999.
    pub progressivo: u32,
    /// Euro.
    pub importo: Decimal,
    /// Whether the money is earmarked.
    pub destinazione: Option<Destinazione>,
    /// SIOPE lines.
    pub classificazioni: Vec<Classificazione>,
    /// The beneficiary or the payer.
    pub anagrafica: Anagrafica,
    /// What for.
    pub causale: String,
    /// Outstanding items of the treasurer that this part settles.
    pub sospesi: Vec<Sospeso>,
    /// Language of the papers.
    pub lingua: Option<Lingua>,
    /// A document that travels outside the flow.
    pub riferimento_documento_esterno: Option<String>,
}

/// One payment of a mandato.
#[derive(Clone, Debug, PartialEq)]
pub struct Beneficiario {
    /// The common part; `anagrafica` is the beneficiary.
    pub parte: Parte,
    /// How they are paid.
    pub tipo_pagamento: TipoPagamento,
    /// The money cannot be seized.
    pub impignorabili: bool,
    /// The payment may be split; `false` is written as NO.
    pub frazionabile: bool,
    /// Payment under provisional budget.
    pub gestione_provvisoria: bool,
    /// Binding date of execution.
    pub data_esecuzione_pagamento: Option<Date>,
    /// Due date, not binding; never together with the date of execution.
    pub data_scadenza_pagamento: Option<Date>,
    /// The receiving body's account, in a transfer between treasury accounts.
    pub tipo_contabilita_ente_ricevente: Option<ContabilitaRicevente>,
    /// How the cheque travels.
    pub tipo_postalizzazione: Option<Postalizzazione>,
    /// Stamp duty.
    pub bollo: Bollo<BolloUscita>,
    /// Bank charges.
    pub spese: Option<Spese>,
    /// People who may sign for the beneficiary; their fiscal code is required.
    pub delegati: Vec<Anagrafica>,
    /// The ultimate creditor, if it is not the beneficiary.
    pub creditore_effettivo: Option<Anagrafica>,
    /// Postal account.
    pub conto_corrente_postale: Option<String>,
    /// Account.
    pub iban: Option<String>,
    /// Bank of the account.
    pub bic: Option<String>,
    /// Reference that reaches the beneficiary.
    pub end_to_end: Option<String>,
    /// `SALA`, `PENS`, or a code agreed with the bank.
    pub category_purpose: Option<String>,
    /// Code of payments to the pension institute, 1 letter and 9 digits.
    pub codice_versante: Option<String>,
    /// Money kept back, and the reversale that collects it.
    pub ritenute: Vec<Ritenuta>,
    /// The pagoPA notice that is paid.
    pub avviso_pagopa: Option<AvvisoPagoPa>,
}

/// One collection of a reversale.
#[derive(Clone, Debug, PartialEq)]
pub struct Versante {
    /// The common part; `anagrafica` is the payer.
    pub parte: Parte,
    /// How it is collected.
    pub tipo_riscossione: TipoRiscossione,
    /// Postal account that the money is drawn from.
    pub numero_ccp: Option<u64>,
    /// The account that the money goes to.
    pub tipo_entrata: Option<TipoEntrata>,
    /// Stamp duty.
    pub bollo: Bollo<BolloEntrata>,
    /// Payment orders that it belongs to.
    pub mandati_associati: Vec<MandatoAssociato>,
}

/// A budget line.
#[derive(Clone, Debug, PartialEq)]
pub struct Bilancio {
    /// 1 to 9999999.
    pub codifica: u32,
    /// Its words.
    pub descrizione: Option<String>,
    /// This year's or an earlier year's.
    pub gestione: Gestione,
    /// The earlier year.
    pub anno_residuo: Option<u16>,
    /// 0 to 999.
    pub numero_articolo: Option<u16>,
    /// 0 to 999.
    pub voce_economica: Option<u16>,
    /// Euro.
    pub importo: Decimal,
}

/// A SIOPE line: what the money is for, in the State's accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Classificazione {
    /// SIOPE code (codice_cgu of payments, codice_cge of collections).
    pub codice_siope: String,
    /// Project code.
    pub cup: Option<String>,
    /// Procurement vocabulary code (payments only).
    pub cpv: Option<String>,
    /// Euro.
    pub importo: Decimal,
    /// The debt behind it.
    pub debito: Debito,
    /// Harmonised accounts.
    pub arconet: Option<Arconet>,
}

/// The debt that a SIOPE line pays.
#[derive(Clone, Debug, PartialEq)]
pub struct Debito {
    /// Its kind.
    pub tipo: TipoDebito,
    /// Tender code.
    pub cig: Option<String>,
    /// Why there is no tender code.
    pub motivo_esclusione_cig: Option<EsclusioneCig>,
    /// The invoices paid.
    pub fatture: Vec<Fattura>,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq)]
pub struct Fattura {
    /// IPA office code that received it.
    pub codice_ipa: String,
    /// Where it came from; `None` is judged by the rules.
    pub documento: Option<Documento>,
    /// Its number, as printed on it.
    pub numero: String,
    /// What is paid of it, euro; negative for a credit note.
    pub importo: Decimal,
    /// When it is due.
    pub scadenza: Date,
    /// Why that differs from the invoice's own date.
    pub motivo_scadenza: Option<MotivoScadenza>,
    /// Current or capital.
    pub natura_spesa: NaturaSpesa,
    /// What the credit note is used for.
    pub nota_di_credito: Option<NotaDiCredito>,
}

/// How an invoice arrived.
#[derive(Clone, Debug, PartialEq)]
pub enum Documento {
    /// Through SDI, in this lot.
    Elettronico(u64),
    /// Otherwise.
    Analogico(Analogica),
    /// Both were given: judged by the rules.
    Entrambi,
}

/// An invoice outside SDI.
#[derive(Clone, Debug, PartialEq)]
pub struct Analogica {
    /// Invoice or equivalent document.
    pub tipo: TipoAnalogico,
    /// Fiscal code of who issued it.
    pub codice_fiscale_emittente: String,
    /// Year of issue.
    pub anno: u16,
}

/// A line of the harmonised accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Arconet {
    /// Mission and programme: payments only, then required.
    pub missione_programma: Option<(String, String)>,
    /// Economic code.
    pub economico: String,
    /// Euro.
    pub importo: Decimal,
    /// EU transaction code.
    pub codice_ue: String,
    /// Whether it recurs.
    pub ricorrenza: Option<Ricorrenza>,
    /// Function of government: payments only, then required.
    pub cofog: Option<Cofog>,
}

/// A function of government.
#[derive(Clone, Debug, PartialEq)]
pub struct Cofog {
    /// Its code.
    pub codice: String,
    /// Euro.
    pub importo: Decimal,
}

/// A person or company.
#[derive(Clone, Debug, PartialEq)]
pub struct Anagrafica {
    /// Name.
    pub denominazione: String,
    /// Street and number.
    pub indirizzo: Option<String>,
    /// Postal code.
    pub cap: Option<String>,
    /// Town.
    pub localita: Option<String>,
    /// Province.
    pub provincia: Option<String>,
    /// Country, ISO 3166 alpha-2.
    pub stato: Option<String>,
    /// VAT number.
    pub partita_iva: Option<String>,
    /// Fiscal code.
    pub codice_fiscale: Option<String>,
}

/// Stamp duty.
#[derive(Clone, Debug, PartialEq)]
pub struct Bollo<T> {
    /// Who bears it.
    pub assoggettamento: T,
    /// Why it is not due.
    pub causale_esenzione: Option<String>,
}

/// Bank charges.
#[derive(Clone, Debug, PartialEq)]
pub struct Spese {
    /// Who bears them.
    pub soggetto: SoggettoSpese,
    /// Nature of the payment, as agreed with the bank.
    pub natura_pagamento: Option<String>,
    /// Why they are not due.
    pub causale_esenzione: Option<String>,
}

/// An outstanding item of the treasurer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sospeso {
    /// Its number at the treasurer.
    pub numero: u64,
    /// Euro.
    pub importo: Decimal,
}

/// Money kept back from a payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Ritenuta {
    /// Euro.
    pub importo: Decimal,
    /// The reversale that collects it.
    pub numero_reversale: u32,
    /// Its part.
    pub progressivo_versante: u32,
}

/// A pagoPA notice.
#[derive(Clone, Debug, PartialEq)]
pub struct AvvisoPagoPa {
    /// Fiscal code of the creditor body, digits.
    pub codice_identificativo_ente: String,
    /// Number of the notice, digits.
    pub numero_avviso: String,
}

/// A payment order that a collection belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct MandatoAssociato {
    /// Its number.
    pub numero: u32,
    /// Its part.
    pub progressivo_beneficiario: Option<u32>,
}

impl Ordine {
    /// Which of the two kinds it is.
    #[must_use]
    pub fn tipo(&self) -> Tipo {
        match self.contenuto {
            Contenuto::Mandato(_) => Tipo::Mandato,
            Contenuto::Reversale(_) => Tipo::Reversale,
        }
    }

    /// The common parts, in order.
    #[must_use]
    pub fn parti(&self) -> Vec<&Parte> {
        match &self.contenuto {
            Contenuto::Mandato(mandato) => mandato.beneficiari.iter().map(|b| &b.parte).collect(),
            Contenuto::Reversale(versanti) => versanti.iter().map(|v| &v.parte).collect(),
        }
    }
}

impl fmt::Display for Ordine {
    /// `mandato UFAAAA/2026/123`: how problems name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}/{}", self.tipo().text(), self.ente, self.esercizio, self.numero)
    }
}
