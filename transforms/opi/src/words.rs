//! The closed lists of OPI 1.7.1 that are built here, each value under its official text.

/// A value of a closed list.
pub trait Word: Copy + PartialEq + 'static {
    /// All values, in the order of the standard.
    const ALL: &'static [Self];

    /// The official text.
    fn text(self) -> &'static str;

    /// The value with exactly this text.
    #[must_use]
    fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.text() == text)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)+
        }

        impl Word for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    )+};
}

words! {
    /// The two kinds of order.
    Tipo { Mandato = "mandato", Reversale = "reversale" }

    /// What is to be done with an order. (VARIAZIONE and SOSTITUZIONE are not built yet.)
    TipoOperazione { Inserimento = "INSERIMENTO", Annullo = "ANNULLO" }

    /// How a beneficiary is paid. (SOSTITUZIONE and ASSEGNO BANCARIO E POSTALE are not built yet.)
    TipoPagamento {
        AccreditoContoCorrentePostale = "ACCREDITO CONTO CORRENTE POSTALE",
        AccreditoTesoreriaProvincialeStato = "ACCREDITO TESORERIA PROVINCIALE STATO",
        AddebitoPreautorizzato = "ADDEBITO PREAUTORIZZATO",
        AssegnoCircolare = "ASSEGNO CIRCOLARE",
        AvvisoPagoPa = "AVVISO PAGOPA",
        BonificoEsteroEuro = "BONIFICO ESTERO EURO",
        Cassa = "CASSA",
        Compensazione = "COMPENSAZIONE",
        DisposizioneDocumentoEsterno = "DISPOSIZIONE DOCUMENTO ESTERNO",
        F24Ep = "F24EP",
        Regolarizzazione = "REGOLARIZZAZIONE",
        SepaCreditTransfer = "SEPA CREDIT TRANSFER",
    }

    /// How money is collected from a payer. (SOSTITUZIONE is not built yet.)
    TipoRiscossione {
        AccreditoBancaItalia = "ACCREDITO BANCA D'ITALIA",
        Cassa = "CASSA",
        Compensazione = "COMPENSAZIONE",
        PrelievoDaCcPostale = "PRELIEVO DA CC POSTALE",
        Regolarizzazione = "REGOLARIZZAZIONE",
    }

    /// Whether the money is earmarked.
    Destinazione { Libera = "LIBERA", Vincolata = "VINCOLATA" }

    /// The receiving body's account in a transfer between treasury accounts.
    ContabilitaRicevente { Fruttifera = "FRUTTIFERA", Infruttifera = "INFRUTTIFERA" }

    /// The account that a collection goes to.
    TipoEntrata { Fruttifero = "FRUTTIFERO", Infruttifero = "INFRUTTIFERO" }

    /// How a cheque travels.
    Postalizzazione {
        ComeDaConvenzione = "COME DA CONVENZIONE",
        ConsegnaEnte = "CONSEGNA ALL'ENTE",
        PostaPrioritaria = "POSTA PRIORITARIA",
        Raccomandata = "RACCOMANDATA",
        RaccomandataAr = "RACCOMANDATA A.R.",
        Assicurata = "ASSICURATA",
    }

    /// The year that a budget line belongs to.
    Gestione { Residuo = "RESIDUO", Competenza = "COMPETENZA" }

    /// Stamp duty of a payment.
    BolloUscita {
        Esente = "ESENTE BOLLO",
        CaricoEnte = "ASSOGGETTATO BOLLO A CARICO ENTE",
        CaricoBeneficiario = "ASSOGGETTATO BOLLO A CARICO BENEFICIARIO",
    }

    /// Stamp duty of a collection.
    BolloEntrata {
        Esente = "ESENTE BOLLO",
        CaricoEnte = "ASSOGGETTATO BOLLO A CARICO ENTE",
        CaricoVersante = "ASSOGGETTATO BOLLO A CARICO VERSANTE",
    }

    /// Who bears the bank's charges.
    SoggettoSpese { Ente = "A CARICO ENTE", Beneficiario = "A CARICO BENEFICIARIO", Esente = "ESENTE" }

    /// Language of the payer's or beneficiary's papers.
    Lingua { Italiano = "ITALIANO", Tedesco = "TEDESCO" }

    /// The kind of debt behind a SIOPE classification.
    TipoDebito { Commerciale = "COMMERCIALE", NonCommerciale = "NON_COMMERCIALE", Iva = "IVA" }

    /// An invoice that did not come through SDI.
    TipoAnalogico { FatturaAnalogica = "FATT_ANALOGICA", DocumentoEquivalente = "DOC_EQUIVALENTE" }

    /// Why a due date differs from the invoice's own.
    MotivoScadenza {
        ScadenzaFattura = "SCAD_FATTURA",
        ScadenzaCorretta = "CORRETTA_SCAD_FATTURA",
        Sospensione = "SOSP_DECORRENZA_TERMINI",
    }

    /// Current or capital expenditure.
    NaturaSpesa { Corrente = "CORRENTE", Capitale = "CAPITALE" }

    /// What a credit note is used for.
    NotaDiCredito { IncassoCompensazione = "INCASSO/COMPENSAZIONE", SplitPayment = "SPLIT PAYMENT" }

    /// Whether income or expenditure recurs (ARCONET).
    Ricorrenza { Ricorrente = "RICORRENTE", NonRicorrente = "NON RICORRENTE" }

    /// Why a commercial debt has no CIG.
    EsclusioneCig {
        AccordoAmministrazioni = "ACCORDO_AMM_AGGIUDICATRICI",
        AcquistoLocazione = "ACQUISTO_LOCAZIONE",
        AffidamentiInHouse = "AFFIDAMENTI_IN_HOUSE",
        AmministrazioneDiretta = "AMMINISTRAZIONE DIRETTA",
        AppaltiEnergiaAcqua = "APPALTI_ENERGIA_ACQUA",
        Arbitrato = "ARBITRATO",
        AttivitaConcorrenza = "ATTIVITA_CONCORRENZA",
        ConcessioniPaesiTerzi = "CONCESSIONI_PAESI_TERZI",
        ContrattiAssociazione = "CONTRATTI_ASSOCIAZIONE",
        ContrattiAutoritaGiudiziaria = "CONTRATTI_AUTORITA_GIUDIZIARIA",
        ContrattiDifesa = "CONTRATTI_DIFESA",
        ContrattiEstero = "CONTRATTI_ESTERO",
        ContrattiLavoro = "CONTRATTI_LAVORO",
        DirittoEsclusivo = "DIRITTO_ESCLUSIVO",
        ErogazioniLiberalita = "EROGAZIONI_LIBERALITA",
        ImpresaCollegata = "IMPRESA_COLLEGATA",
        IncarichiCollaborazione = "INCARICHI_COLLABORAZIONE",
        JointVenture = "JOINT_VENTURE",
        Prestazioni = "PRESTAZIONI",
        Riassicurazione = "RIASSICURAZIONE",
        RisarcimentiIndennizzi = "RISARCIMENTI_INDENNIZZI",
        ServiziBancheCentrali = "SERVIZI_BANCHE_CENTRALI_EFSF",
        ServiziCampagnePolitiche = "SERVIZI_CAMPAGNE_POLITICHE",
        SpeseEconomali = "SPESE_ECONOMALI",
        SponsorizzazionePura = "SPONSORIZZAZIONE_PURA",
        TrasferimentoFondi = "TRASFERIMENTO_FONDI",
        TrasportoAereo = "TRASPORTO_AEREO",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_leads_back_to_its_value() {
        assert!(TipoPagamento::ALL.iter().all(|word| TipoPagamento::find(word.text()) == Some(*word)));
        assert!(EsclusioneCig::ALL.iter().all(|word| EsclusioneCig::find(word.text()) == Some(*word)));
        assert_eq!(EsclusioneCig::ALL.len(), 27);
        assert_eq!(TipoPagamento::find("cassa"), None);
    }
}
